%% SPDX-License-Identifier: Apache-2.0
%% Where the keyring comes from when it is not DIR/keyring: `{secret, Provider}` of merlon.config. Asked when the
%% node begins to listen, until there is an answer or the time is up; merlon_secrets_watch asks later on. What
%% a provider gives is a reference into the native library: the text of a keyring, or one secret of 64 hex digits.
%% Runs while the node boots.
-module(merlon_secrets).

-export([check/1, is_inline/1, keyring/1, source/1, start/0, fetch/1, held/0, hold/1, name/1, watch/1, format_error/1]).
-export_type([provider/0, held/0, delivered/0, reason/0, fault/0, fetched/1]).

%% The module of a provider and what it has made of its setting.
-type provider() :: {module(), Setting :: term()}.
-type delivered() :: #{text := merlon_nif:secret_bytes(), version := term()}.
%% `code` of a fixed list, and where it happened. Nothing secret, nothing that a server said.
-type fetch_fault() :: {fetch, #{code := atom(), _ => _}}.
-type fetched(Thing) :: {ok, Thing} | {error, fetch_fault()}.
-type fault() :: fetch_fault() | {words, iodata()}.
-type reason() :: {beside, merlon_dir:path()} |
                  {Name :: binary(), fault() | {keyring, merlon_keyring:reason()} |
                                     {older, Given :: integer(), InUse :: integer()} | {back, Id :: binary()}}.
-type held() :: #{provider := provider(), cluster := binary(), keyring := merlon_keyring:keyring(), version := term(),
                    state := term()}.

%% What is in merlon.config made into a setting, or what it must be.
-callback check(Term :: tuple()) -> {ok, Setting :: term()} | {error, Must :: iodata()}.
%% For logs and errors: what is asked, nothing secret.
-callback name(Setting :: term()) -> iodata().
%% What is kept between two fetches. Asks nobody yet.
-callback open(Setting :: term()) -> {ok, State :: term()} | {error, fault()}.
%% The secret as it is now. Milliseconds.
-callback fetch(State :: term(), Timeout :: pos_integer()) -> {ok, delivered()} | {error, fault()}.
%% Seconds between two looks while the node runs.
-callback watch(Setting :: term()) -> pos_integer() | never.
%% Whether a look is worth a fetch: the same stamp, the same secret.
-callback stamp(State :: term()) -> term().
%% Whether a secret stands in merlon.config itself, which then has to be kept from others.
-callback is_inline(Setting :: term()) -> boolean().
-optional_callbacks([stamp/1, is_inline/1]).

-define(KEY, {?MODULE, held}).
%% Milliseconds that one try may take.
-define(TRY, 10000).

%% ---- the setting ----

-spec check(term()) -> {ok, provider()} | {error, Must :: iodata()}.
check(Term) when is_tuple(Term), tuple_size(Term) >= 2 ->
    case module(Term) of
        {ok, Module, Rest} -> checked(Module, Rest);
        error -> {error, must()}
    end;
check(_) ->
    {error, must()}.

checked(Module, Term) ->
    case Module:check(Term) of
        {ok, Setting} -> {ok, {Module, Setting}};
        {error, Must} -> {error, Must}
    end.

module({module, Module, _Setting} = Term) when is_atom(Module) ->
    case {code:ensure_loaded(Module), erlang:function_exported(Module, fetch, 2)} of
        {{module, Module}, true} -> {ok, Module, Term};
        _ -> error
    end;
module(Term) ->
    case lists:keyfind(element(1, Term), 1, providers()) of
        {_, Module} -> {ok, Module, Term};
        false -> error
    end.

providers() ->
    [{env, merlon_secrets_env}, {file, merlon_secrets_file}, {systemd, merlon_secrets_file},
     {exec, merlon_secrets_exec}, {vault, merlon_secrets_store},
     {aws_secretsmanager, merlon_secrets_store}, {gcp_secret_manager, merlon_secrets_store}].

must() ->
    ["one of ", lists:join(", ", [["{", atom_to_list(Kind), ", ...}"] || {Kind, _} <- providers()]),
     ", {module, Module, Setting} with a module that has the behaviour merlon_secrets"].

-spec is_inline(provider() | none) -> boolean().
is_inline({Module, Setting}) ->
    erlang:function_exported(Module, is_inline, 1) andalso Module:is_inline(Setting);
is_inline(none) ->
    false.

-spec name(provider()) -> binary().
name({Module, Setting}) -> iolist_to_binary(["the secret of ", Module:name(Setting)]).

-spec watch(provider()) -> pos_integer() | never.
watch({Module, Setting}) -> Module:watch(Setting).

%% ---- the keyring ----

%% The keyring that counts with this configuration. One that a provider has given is kept, and not asked for again.
-spec keyring(merlon_config:config()) ->
          {ok, merlon_keyring:keyring()} |
          {error, {secrets, reason()} | {keyring, merlon_keyring:reason()} | {file, merlon_dir:reason()}}.
keyring(#{secret := none, dir := Dir, cluster := Cluster}) ->
    merlon_keyring:read(Dir, Cluster);
keyring(#{secret := Provider, secret_wait := Wait, dir := Dir, cluster := Cluster}) ->
    File = merlon_keyring:file(Dir),
    case {merlon_dir:exists(File), held()} of
        {true, _} -> {error, {secrets, {beside, File}}};
        {false, #{provider := Provider, cluster := Cluster, keyring := Keyring}} -> {ok, Keyring};
        {false, _} -> first(Provider, Cluster, now_ms() + Wait)
    end.

%% What an error about the keyring names.
-spec source(merlon_config:config()) -> binary().
source(#{secret := none, dir := Dir}) -> merlon_keyring:file(Dir);
source(#{secret := Provider}) -> name(Provider).

%% The node begins anew: what was kept may be old by now. What can't change stays, as it may be gone.
-spec start() -> ok.
start() ->
    case held() of
        #{provider := Provider} ->
            _ = watch(Provider) =:= never orelse persistent_term:erase(?KEY),
            ok;
        none -> ok
    end.

-spec held() -> held() | none.
held() -> persistent_term:get(?KEY, none).

-spec hold(held()) -> ok.
hold(Held) -> persistent_term:put(?KEY, Held).

first({Module, Setting} = Provider, Cluster, Deadline) ->
    case Module:open(Setting) of
        {ok, State} -> again(#{provider => Provider, cluster => Cluster, state => State}, Deadline, 0);
        {error, Fault} -> {error, {secrets, {name(Provider), Fault}}}
    end.

%% Again and again until the time is up, unless asking again can't help.
again(Opened, Deadline, Tries) ->
    case fetch(Opened, Deadline) of
        {ok, #{keyring := Keyring} = Held} ->
            ok = hold(Held),
            {ok, Keyring};
        {error, {secrets, {Name, Fault}} = Reason} ->
            Pause = merlon_secrets_core:pause(Tries, erlang:phash2({self(), Deadline})),
            case merlon_secrets_core:passes(Fault) andalso now_ms() + Pause < Deadline of
                true ->
                    _ = Tries =:= 0 andalso merlon_event:secret_awaited(Name, format_error({Name, Fault})),
                    timer:sleep(Pause),
                    again(Opened, Deadline, Tries + 1);
                false -> {error, Reason}
            end
    end.

%% Once, with what was kept of the last time.
-spec fetch(held()) -> {ok, held()} | {error, {secrets, reason()}}.
fetch(Held) -> fetch(Held, now_ms() + ?TRY).

fetch(#{provider := {Module, _} = Provider, state := State} = Held, Deadline) ->
    Timeout = max(1, min(?TRY, Deadline - now_ms())),
    delivered(name(Provider), Module:fetch(State, Timeout), Held).

delivered(Name, {error, Fault}, _Held) -> {error, {secrets, {Name, Fault}}};
delivered(Name, {ok, #{text := Text, version := Version}}, #{cluster := Cluster} = Held) ->
    case merlon_keyring:delivered(Name, Text, Cluster) of
        {ok, Keyring} -> usable(Name, Held#{keyring => Keyring, version => Version});
        {error, {keyring, _} = Fault} -> {error, {secrets, {Name, Fault}}}
    end.

usable(Name, #{keyring := Keyring} = Held) ->
    case merlon_keyring:preferred(Keyring, erlang:system_time(second)) of
        none -> {error, {secrets, {Name, {keyring, {none_accepted, Name}}}}};
        _ -> {ok, Held}
    end.

now_ms() -> erlang:monotonic_time(millisecond).

%% ---- words ----

%% One sentence, with what to do.
-spec format_error(reason()) -> iodata().
format_error({beside, File}) ->
    ["{secret, ...} is set in merlon.config and there is ", File, " too: remove one of them; they are never mixed"];
format_error({_Name, {keyring, Reason}}) ->
    merlon_keyring:format_error(Reason);
format_error({Name, {older, Given, InUse}}) ->
    [Name, " gives an older keyring than the one in use: its newest entry was made at ", merlon_keyring_core:time_text(Given),
     ", that in use at ", merlon_keyring_core:time_text(InUse), "; store one with a newer entry (`merlon keyring --new`)",
     "; if the one in use was made by a clock that was ahead, restart the node"];
format_error({Name, {back, Id}}) ->
    [Name, " gives an older keyring than the one in use: it brings back entry ", Id, ", which was taken out or was to end sooner; "
     "store one with a newer entry (`merlon keyring --new`)"];
format_error({Name, Fault}) ->
    [Name, " can't be had: ", merlon_secrets_text:words(Fault)].
