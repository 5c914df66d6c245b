%% SPDX-License-Identifier: Apache-2.0
%% What this node is: its identity, its configuration. Loaded once before it listens (or, without a
%% listener, before it dials first) and kept for every handshake.
-module(merlon_node).

-export([start/2, borrow/3, ensure/1, current/0, replace/2, identity/0, joins/0, keyring/0, config/0, name/0, is_tool/0, fatal/1, format_error/1]).
-export_type([reason/0]).

-type reason() :: {nif, string()} | {config | identity, term()} |
                  merlon_listen:reason() | term().

-define(KEY, {?MODULE, node}).

%% Loads library, configuration and identity for Name@Host.
-spec start(Name :: string(), Host :: string()) -> {ok, map()} | {error, reason()}.
start(Name, Host) ->
    case merlon_nif:load() of
        ok ->
            load_modules(),
            load(Name, Host);
        {error, _} = Error -> Error
    end.

%% All that a link needs, now: mix, while it starts, takes merlon off the code path for a moment, and
%% a peer that came just then would find half a carrier.
load_modules() ->
    lists:foreach(fun code:ensure_loaded/1,
                  [merlon, merlon_acceptor, merlon_event, merlon_handshake, merlon_hs,
                   merlon_link_in, merlon_link_in_core, merlon_link_ahead, merlon_link_out, merlon_pki_text, merlon_registry, merlon_text,
                   merlon_config, merlon_config_env, merlon_dir, merlon_identity, merlon_identity_files,
                   merlon_live_core, merlon_reload, merlon_reload_core, merlon_keyring, merlon_keyring_core,
                   merlon_renew, merlon_renew_ask, merlon_renew_core, merlon_ca, merlon_crl, merlon_crl_core,
                   merlon_quiet_core, merlon_ask,
                   merlon_enroll, merlon_join_server, merlon_join_wire, merlon_join_core,
                   merlon_join_rate_core, merlon_token, merlon_token_core, merlon_sign,
                   merlon_reprove, merlon_reprove_core,
                   merlon_rotate, merlon_rotate_core, merlon_rotate_files, merlon_dir_write,
                   merlon_roots, merlon_roots_core, merlon_roots_files, merlon_ca_files, merlon_event_roots, merlon_event_names,
                   merlon_identity_secret, merlon_kdf, merlon_kdf_memory, merlon_dump,
                   merlon_secrets, merlon_secrets_core, merlon_secrets_watch, merlon_secrets_text,
                   merlon_secrets_env, merlon_secrets_file, merlon_secrets_exec, merlon_secrets_store,
                   merlon_event_text, merlon_cidr, merlon_listen, merlon_epmd, merlon_epmd_core,
                   merlon_names, merlon_names_core, merlon_names_client, merlon_names_server, merlon_probe, merlon_repeats, merlon_source_core,
                   merlon_stats, merlon_interop, merlon_linked, merlon_beside, merlon_status_core]).

load(Name, Host) ->
    ok = merlon_secrets:start(),
    used(merlon_identity:load({Name, Host}), Name, Host).

%% For a command that neither listens nor links: what it does is done as Name@Host, with that configuration.
-spec borrow(Name :: string(), Host :: string(), merlon_config:config()) -> {ok, map()} | {error, reason()}.
borrow(Name, Host, Config) ->
    ok = merlon_secrets:start(),
    used(merlon_identity:load({Name, Host}, Config), Name, Host).

used(Result, Name, Host) ->
    case Result of
        {ok, #{ref := _, config := Config} = Loaded} ->
            _ = merlon_dump:secure(Config),
            Node = Loaded#{name => Name ++ "@" ++ Host},
            persistent_term:put(?KEY, Node),
            merlon_enroll:told(Node),
            {ok, Node};
        {error, _} = Error -> Error
    end.

%% As start/2 for a node that does not listen; does nothing when the node is known.
-spec ensure(node()) -> ok | {error, reason()}.
ensure(MyNode) ->
    Name = atom_to_list(MyNode),
    {node, _, Host} = Parts = dist_util:split_node(MyNode),
    Dynamic = "undefined@" ++ Host,
    case persistent_term:get(?KEY, none) of
        #{name := Name} -> ok;
        %% It has got its name from the first node that it linked to.
        #{name := Dynamic} -> ok;
        _ -> start_as(Parts)
    end.

start_as({node, Name, Host}) ->
    case start(Name, Host) of
        {ok, _} -> ok;
        {error, _} = Error -> Error
    end.

%% What is used now; `none` before the node has begun to listen or to dial.
-spec current() -> {ok, map()} | none.
current() ->
    case persistent_term:get(?KEY, none) of
        #{} = Node -> {ok, Node};
        none -> none
    end.

%% From now on handshakes use what was loaded anew, unless the node has become another meanwhile.
-spec replace(Known :: map(), merlon_identity:loaded()) -> ok.
replace(#{name := Name, dir := Folder} = Known, #{dir := Folder} = Loaded) ->
    case persistent_term:get(?KEY, none) of
        Known ->
            persistent_term:put(?KEY, Loaded#{name => Name}),
            merlon_enroll:told(Loaded);
        _ -> ok
    end.

-spec identity() -> merlon_nif:identity().
identity() -> maps:get(ref, node_map()).

%% What those who want to join are shown.
-spec joins() -> {on, merlon_nif:join_server()} | none.
joins() ->
    case node_map() of
        #{joins := {on, _} = On} -> On;
        #{} -> none
    end.

-spec keyring() -> merlon_keyring:keyring().
keyring() -> maps:get(keyring, node_map()).

-spec config() -> map().
config() -> maps:get(config, node_map()).

%% "name@host"; the name is "undefined" as long as a dynamic one is awaited.
-spec name() -> string().
name() -> maps:get(name, node_map()).

%% Whether this is a remote shell or the like, and not a node of the cluster.
-spec is_tool() -> boolean().
is_tool() ->
    case persistent_term:get(?KEY, none) of
        #{identity := {cli, _, _, _}} -> true;
        _ -> false
    end.

node_map() -> persistent_term:get(?KEY).

%% A node that can't prove itself does not start: one sentence on standard error and exit code 1
%% while the VM boots, an error for whoever called net_kernel:start/1 later.
-spec fatal(reason()) -> {error, term()}.
fatal(Reason) ->
    Text = unicode:characters_to_binary(["merlon: ", format_error(Reason), $\n]),
    case init:get_status() of
        {starting, _} ->
            Port = erlang:open_port({fd, 2, 2}, [out, binary]),
            true = erlang:port_command(Port, Text),
            %% Flushes the port.
            erlang:halt(1);
        _ ->
            merlon_event:not_started(Text),
            {error, {merlon, Reason}}
    end.

-spec format_error(reason()) -> iodata().
format_error(not_distributed) ->
    "this node has no links over merlon: it is not alive, or was started without -proto_dist merlon";
format_error({nif, Text}) ->
    ["the native library can't be loaded (", Text, "); build it with `make build`"];
format_error({epmd, Reason}) -> merlon_epmd_core:format_error(Reason);
format_error({names, Reason}) -> merlon_names_core:format_error(Reason);
format_error({Word, _} = Reason) when Word =:= no_address -> merlon_listen:format_error(Reason);
format_error({Word, _, _} = Reason) when Word =:= listen; Word =:= no_such_interface ->
    merlon_listen:format_error(Reason);
format_error(Reason) ->
    merlon_identity:format_error(Reason).
