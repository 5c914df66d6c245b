%% SPDX-License-Identifier: Apache-2.0
%% What a running node says about its distribution, by calls to functions of OTP's and of merlon's alone: no code goes
%% there and nothing changes there. What it can't say is left out.
-module(merlon_live_facts).

-export([of_node/3, listeners/3, own_end/1]).
-export_type([facts/0, ask/0, tls/0]).

-include_lib("kernel/include/file.hrl").

%% A call on the node.
-type ask() :: fun((module(), atom(), list()) -> {ok, term()} | {error, term()}).
-type link() :: #{node := node(), carrier := atom(), type := normal | hidden}.
-type facts() ::
        #{node := node(), otp => binary(), merlon => binary(), flags => [[string()]], carrier := atom(), hidden := boolean(),
          links := [link()], merlon_links := [map()], names := [{term(), term()}], path := [{string(), writable}],
          listeners := [{inet:ip_address(), inet:port_number()}], epmd := [inet:ip_address()], port => inet:port_number(),
          cookie => fun(() -> binary()), ends => integer(), own => {integer(), integer()}, settings := [{atom(), term()}], apps := [atom()],
          tls => tls()}.
%% What ssl_dist_optfile says of these; `none`: nothing.
-type tls() :: #{{server | client, Option :: atom()} => {ok, term()} | none}.

-define(NAMES, 500).
-define(DESCRIPTORS, 20000).
-define(PATHS, 2000).
-define(CERTIFICATE, 65536).
%% Options of ssl_dist_optfile for one role that are looked at.
-define(OPTIONS, 64).

%% `Secretly`: the way there is encrypted, so that the cookie may take it.
-spec of_node(node(), ask(), Secretly :: boolean()) -> {ok, facts()} | {error, term()}.
of_node(Node, Ask, Secretly) ->
    case Ask(erlang, system_info, [otp_release]) of
        {ok, Release} when is_list(Release) ->
            %% Its answers may be anything.
            try {ok, gathered(Node, Release, Ask, Secretly)} catch error:_ -> {error, bad_answers} end;
        {ok, _} -> {error, bad_answers};
        {error, _} = Error -> Error
    end.

gathered(Node, Release, Ask, Secretly) ->
    Links = links(Ask(net_kernel, nodes_info, [])),
    {Own, All} = sockets(Ask),
    maps:merge(
      #{node => Node, links => Links, merlon_links => connections(Ask(merlon, connections, [])), carrier => carrier(Ask),
        hidden => is_hidden(Ask(init, get_argument, [hidden])),
        names => names(Ask), path => path(Ask), epmd => [Ip || {Ip, Port} <- All, Port =:= merlon_wire_epmd:port()],
        listeners => Own, settings => settings(Ask), apps => apps(Ask(application, which_applications, []))},
      maps:from_list(lists:append(
        [[{otp, version(Release, Ask)}], [{flags, Flags} || {ok, {ok, Flags}} <- [Ask(init, get_argument, [proto_dist])], length(Flags) > 0],
         [{merlon, text(Vsn)} || {ok, {ok, Vsn}} <- [Ask(application, get_key, [merlon, vsn])]],
         [{port, Port} || Port <- port(Node, Ask)],
         [{cookie, fun() -> atom_to_binary(Cookie) end} || Secretly, {ok, Cookie} <- [Ask(erlang, get_cookie, [])], is_atom(Cookie)],
         [{own, Dates} || Dates <- own_dates(Node, Ask)],
         [{tls, Tls} || Tls <- tls(Ask(ets, info, [ssl_dist_opts, size]), Ask)],
         [{ends, End} || {ok, Text} <- [Ask(merlon, metrics, [])], End <- own_end(Text)]]))).

is_hidden({ok, {ok, _}}) -> true;
is_hidden(_) -> false.

%% The patch level is in a file of the installation.
version(Release, Ask) ->
    case Ask(code, root_dir, []) of
        {ok, Root} when is_list(Root) ->
            case Ask(file, read_file, [filename:join([Root, "releases", Release, "OTP_VERSION"])]) of
                {ok, {ok, Text}} when is_binary(Text) -> text(string:trim(Text));
                _ -> text(Release)
            end;
        _ -> text(Release)
    end.

text(Text) -> merlon_wire_io:printable(iolist_to_binary(Text)).

%% What it listens with, by the processes that are there.
carrier(Ask) ->
    Known = [{merlon_registry, merlon}, {ssl_dist_sup, inet_tls}],
    case [Name || {Server, Name} <- Known, {ok, Pid} <- [Ask(erlang, whereis, [Server])], is_pid(Pid)] of
        [Name | _] -> Name;
        [] -> inet_tcp
    end.

links({ok, {ok, Infos}}) when is_list(Infos) ->
    [#{node => Node, carrier => protocol(proplists:get_value(address, Info)), type => type(proplists:get_value(type, Info))}
     || {Node, Info} <- Infos, is_atom(Node), is_list(Info), proplists:get_value(state, Info) =:= up];
links(_) -> [].

%% #net_address{}.
protocol({net_address, _, _, Protocol, _}) when is_atom(Protocol) -> Protocol;
protocol(_) -> unknown.

type(hidden) -> hidden;
type(_) -> normal.

connections({ok, Links}) when is_list(Links) -> [Link || #{node := Node, not_after := End} = Link <- Links, is_atom(Node), is_integer(End), abs(End) < 1 bsl 40];
connections(_) -> [].

%% Names of global and their resolvers, without asking its server.
names(Ask) ->
    case Ask(ets, match, [global_names, {'$1', '_', '$2', '_'}, ?NAMES]) of
        {ok, {Found, _}} -> [{Name, Resolver} || [Name, Resolver] <- Found];
        _ -> []
    end.

apps({ok, Apps}) when is_list(Apps) -> [App || {App, _, _} <- Apps];
apps(_) -> [].

settings(Ask) ->
    [{Key, Value} || {Key, {ok, Value}} <-
        [{prevent_overlapping_partitions, Ask(application, get_env, [kernel, prevent_overlapping_partitions, default])},
         {check_ip, Ask(application, get_env, [kernel, check_ip, false])},
         {inet_res, is_dns(Ask(inet_db, res_option, [lookup]))},
         {dist_auto_connect, Ask(application, get_env, [kernel, dist_auto_connect, default])},
         {net_ticktime, Ask(net_kernel, get_net_ticktime, [])}]].

%% Whether OTP itself asks DNS, and not the system.
is_dns({ok, Ways}) when is_list(Ways) ->
    try {ok, lists:member(dns, Ways)} catch error:_ -> none end;
is_dns(_) -> none.

%% ---- TLS of OTP's carrier ----

%% Option by option, so that passwords and keys stay where they are.
tls({ok, Size}, Ask) when is_integer(Size) ->
    Asked = [{Of, option(Of, Ask)} || Of <- [{server, versions}, {client, versions}, {server, verify}, {server, fail_if_no_peer_cert}]],
    [maps:from_list([{Of, Answer} || {Of, Answer} <- Asked, Answer =/= unknown])];
tls(_, _Ask) -> [].

%% A pattern for each place in the list that it may have: the first that fits is the one that counts.
option({Role, Key}, Ask) ->
    Places = [{{Role, place(At, {Key, '$1'})}, [], ['$1']} || At <- lists:seq(1, ?OPTIONS)],
    case Ask(ets, select, [ssl_dist_opts, Places]) of
        {ok, [Value]} -> known(Key, Value);
        {ok, []} -> none;
        _ -> unknown
    end.

known(versions, Value) ->
    try {ok, [Version || Version <- lists:sublist(Value, ?OPTIONS), is_atom(Version)]} catch error:_ -> unknown end;
known(_Key, Value) -> {ok, Value}.

-dialyzer({no_improper_lists, place/2}).
place(1, Option) -> [Option | '_'];
place(At, Option) -> ['_' | place(At - 1, Option)].

%% ---- files ----

%% Folders of the code path in which everybody can write, or put another in their place.
path(Ask) ->
    case Ask(code, get_path, []) of
        {ok, Path} when is_list(Path) ->
            Folders = lists:usort(lists:append([[{Dir, own} | [{Above, above} || Above <- above(Dir)]]
                                                || Dir <- lists:sublist(Path, ?PATHS), is_list(Dir)])),
            writable(Folders, Ask(lists, map, [fun file:read_file_info/1, [Dir || {Dir, _} <- Folders]]));
        _ -> []
    end.

above(Dir) ->
    case filename:dirname(Dir) of
        Dir -> [];
        "." -> [];
        Above -> [Above | above(Above)]
    end.

writable(Folders, {ok, Infos}) when length(Infos) =:= length(Folders) ->
    lists:usort([{Dir, writable} || {{Dir, Kind}, {ok, #file_info{mode = Mode, type = directory}}} <- lists:zip(Folders, Infos),
                                    Mode band 8#002 =/= 0, Kind =:= own orelse Mode band 8#1000 =:= 0]);
writable(_, _) -> [].

%% ---- sockets ----

%% The listeners of the VM, and all of its host, as Linux tells them; none elsewhere.
sockets(Ask) ->
    Tables = [Text || File <- ["/proc/self/net/tcp", "/proc/self/net/tcp6"], {ok, {ok, Text}} <- [Ask(prim_file, read_file, [File])]],
    {listeners(Tables, own, descriptors(Ask)), listeners(Tables, all, [])}.

descriptors(Ask) ->
    case Ask(prim_file, list_dir, ["/proc/self/fd"]) of
        {ok, {ok, Names}} ->
            Files = ["/proc/self/fd/" ++ Name || Name <- lists:sublist(Names, ?DESCRIPTORS)],
            case Ask(lists, map, [fun file:read_link/1, Files]) of
                {ok, Links} when is_list(Links) -> [Link || {ok, Link} <- Links];
                _ -> []
            end;
        _ -> []
    end.

%% Rows of the kernel's table that listen: those whose inode is among the descriptors, or all.
-spec listeners([binary()], own | all, Descriptors :: [string()]) -> [{inet:ip_address(), inet:port_number()}].
listeners(Tables, Whose, Descriptors) ->
    Own = maps:from_list([{Link, true} || Link <- Descriptors]),
    lists:usort([{Ip, binary_to_integer(Port, 16)}
                 || Table <- Tables, is_binary(Table), Line <- binary:split(Table, <<"\n">>, [global]),
                    {match, [Address, Port, Inode]} <-
                        [re:run(Line, "^ *[0-9]+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]+ 0A"
                                "(?: +\\S+){5} ([0-9]+) ", [{capture, all_but_first, binary}])],
                    Whose =:= all orelse is_map_key("socket:[" ++ binary_to_list(Inode) ++ "]", Own),
                    Ip <- [address(Address)]]).

%% Words of 32 bits, each in the machine's order: little endian wherever Erlang runs today.
address(Hex) ->
    Words = << <<Word:32/little>> || <<Digits:8/binary>> <= Hex, Word <- [binary_to_integer(Digits, 16)] >>,
    case Words of
        <<A, B, C, D>> -> {A, B, C, D};
        <<_:128>> -> list_to_tuple([Part || <<Part:16>> <= Words])
    end.

%% ---- names and dates ----

%% The port that epmd has of the node.
port(Node, Ask) ->
    [Name | _] = string:split(atom_to_list(Node), "@"),
    case Ask(erl_epmd, names, []) of
        {ok, {ok, Known}} when is_list(Known) -> [Port || {Known1, Port} <- Known, Known1 =:= Name, is_integer(Port)];
        _ -> []
    end.

%% Of the node's own certificate, where it has one in a file.
own_dates(Node, Ask) ->
    case Ask(merlon_config, dir, []) of
        {ok, {ok, Dir}} when is_list(Dir) ->
            case Ask(merlon_dir, read, [merlon_dir:path([Dir, "nodes", atom_to_binary(Node), "cert.pem"])]) of
                {ok, {ok, Text}} when is_binary(Text), byte_size(Text) < ?CERTIFICATE -> dates(merlon_identity:inspect(Text));
                _ -> []
            end;
        _ -> []
    end.

dates({ok, [#{not_before := Begin, not_after := End} | _]}) -> [{Begin, End}];
dates(_) -> [].

%% When the node's own certificate ends, from its metrics.
-spec own_end(term()) -> [integer()].
own_end(Text) ->
    try re:run(iolist_to_binary(Text), "^merlon_certificate_end_timestamp_seconds ([0-9]{1,12})$",
               [multiline, {capture, all_but_first, binary}]) of
        {match, [End]} -> [binary_to_integer(End)];
        nomatch -> []
    catch error:_ -> []
    end.
