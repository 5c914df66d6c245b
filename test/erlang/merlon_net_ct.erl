%% SPDX-License-Identifier: Apache-2.0
%% Nodes that do not run merlon, for the suites that look at what runs from outside.
-module(merlon_net_ct).

-export([plain/3, inet_tls/2, optfile/3, port/1]).

%% A node over plain TCP.
plain(Config, Cookie, More) ->
    merlon_ct:run(Config, ["-setcookie", Cookie, "-pa", merlon_doctor_emit:ebin(),
                           "-kernel", "prevent_overlapping_partitions", "false" | More], named("plain")).

named(Base) -> #{name => merlon_peers:name(Base), host => "127.0.0.1", longnames => true}.

%% A node over OTP's TLS, with a certificate of the suite's dir and these options of its server.
inet_tls(Config, Server) ->
    #{name := Name} = Opts = named("tls"),
    File = optfile(Config, list_to_atom(Name ++ "@127.0.0.1"), Server),
    merlon_ct:run(Config, ["-proto_dist", "inet_tls", "-ssl_dist_optfile", File, "-setcookie", "merlontest",
                           "-pa", merlon_doctor_emit:ebin()], Opts).

%% Its ssl_dist_optfile.
optfile(Config, Node, Server) ->
    Dir = merlon_ct:dir(Config),
    ok = merlon_peers:add_node(Dir, Node),
    Folder = filename:join([Dir, "nodes", atom_to_list(Node)]),
    Common = [{certfile, filename:join(Folder, "cert.pem")}, {keyfile, filename:join(Folder, "key.pem")},
              {cacertfile, filename:join([Dir, "trust", "ca.pem"])}],
    File = filename:join(Folder, "ssl_dist.conf"),
    %% As what is not a dial by name: the certificate's host is an address.
    ok = file:write_file(File, io_lib:format("~p.~n", [[{server, Server ++ Common}, {client, [{verify, verify_none} | Common]}]])),
    File.

%% Where epmd says that it listens.
port({_, Node, _}) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    Port.
