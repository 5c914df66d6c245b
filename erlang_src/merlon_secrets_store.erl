%% SPDX-License-Identifier: Apache-2.0
%% `{vault, Options}` (Vault and OpenBao, KV version 2), `{aws_secretsmanager, Options}`, `{gcp_secret_manager, Options}`:
%% the keyring in a server, asked over HTTPS by the native library. Options are `{Name, Value}`, values texts in
%% double quotes; what is secret among them comes from {file, "/PATH"}, {env, "VARIABLE"} or, in a
%% merlon.config that only its owner can read, {value, "TEXT"}. See docs/guides/providers.md.
-module(merlon_secrets_store).
-behaviour(merlon_secrets).

-export([check/1, name/1, open/1, fetch/2, watch/1, is_inline/1]).

-type kind() :: vault | aws_secretsmanager | gcp_secret_manager.
%% What is secret itself is held by the native library, so that nothing prints it and no crash dump has it.
-type source() :: {value, binary() | merlon_nif:secret_bytes()} | {file | env, binary()}.
-type setting() :: {kind(), [{atom(), source()}], Every :: pos_integer()}.

%% How an option is said: a text; a text or wherever else it may be; never in the clear by accident.
-type form() :: text | {one_of, [string()]} | source | secret.

-spec options(kind()) -> [{atom(), form()}].
options(vault) ->
    [{url, text}, {path, text}, {mount, text}, {field, text}, {namespace, text}, {ca, text},
     {token, secret}, {role_id, source}, {secret_id, secret}, {role, text}, {jwt_file, text}, {auth_mount, text}];
options(aws_secretsmanager) ->
    [{secret, text}, {region, text}, {stage, text}, {field, text}, {endpoint, text}, {ca, text},
     {credentials, {one_of, ["default", "environment", "instance", "web_identity"]}},
     {access_key_id, source}, {secret_access_key, secret}, {session_token, secret},
     {role_arn, text}, {token_file, text}, {sts_endpoint, text}, {metadata, text},
     {environment, {one_of, ["remove", "keep"]}}];
options(gcp_secret_manager) ->
    [{project, text}, {secret, text}, {version, text}, {endpoint, text}, {ca, text},
     {service_account, text}, {metadata, text}].

%% Seconds between two looks; `{refresh, Seconds}` says otherwise. Those of the clouds cost money.
every(vault) -> 60;
every(_) -> 300.

%% Settings that are remembered, and variables in which AWS's own tools find what is secret.
-define(HELD, {?MODULE, held}).
-define(MOST_HELD, 16).
-define(AWS, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]).

%% ---- the setting ----

-spec check(tuple()) -> {ok, setting()} | {error, iodata()}.
check({Kind, Options}) when is_list(Options) ->
    %% For commands too, which read merlon.config before anything else.
    case merlon_nif:load() of
        ok -> checked(Kind, options(Kind, Options, [], every(Kind)));
        {error, {nif, Text}} -> {error, [atom_to_list(Kind), ": ", Text]}
    end;
check(Term) ->
    {error, ["{", atom_to_list(element(1, Term)), ", [{NAME, VALUE}, ...]}"]}.

checked(Kind, {ok, Sources, Every}) -> works({Kind, Sources, Every});
checked(Kind, {error, Must}) -> {error, [atom_to_list(Kind), ": ", Must]}.

options(_Kind, [], Sources, Every) -> {ok, lists:reverse(Sources), Every};
options(Kind, [{refresh, Every} | More], Sources, _) when is_integer(Every), Every > 0, Every =< 86400 ->
    options(Kind, More, Sources, Every);
options(_Kind, [{Name, _} | _], _Sources, _Every) when not is_atom(Name) -> {error, "a list of {NAME, VALUE}"};
options(_Kind, [{refresh, _} | _], _Sources, _Every) -> {error, "{refresh, SECONDS} with 1 to 86400"};
options(Kind, [{Name, Value} | More], Sources, Every) ->
    case {lists:keymember(Name, 1, Sources), lists:keyfind(Name, 1, options(Kind))} of
        {true, _} -> {error, [word(Name), " only once"]};
        {false, false} -> {error, unknown(Kind, Name)};
        {false, {Name, Form}} ->
            case source(Form, Value) of
                {ok, Source} -> options(Kind, More, [{Name, Source} | Sources], Every);
                error -> {error, [word(Name), " ", form(Form)]}
            end
    end;
options(_Kind, _, _Sources, _Every) -> {error, "a list of {NAME, VALUE}"}.

source(text, Value) -> plain(Value);
source({one_of, Words}, Value) ->
    case plain(Value) of
        {ok, {value, Text}} = Ok -> case lists:member(binary_to_list(Text), Words) of
                                        true -> Ok;
                                        false -> error
                                    end;
        error -> error
    end;
source(secret, {value, Value}) ->
    case merlon_secrets_text:text(Value) of
        {ok, Text} -> {ok, {value, held(Text)}};
        error -> error
    end;
source(source, {value, Value}) -> plain(Value);
source(Form, {From, Value}) when (From =:= file orelse From =:= env), (Form =:= secret orelse Form =:= source) ->
    case merlon_secrets_text:text(Value) of
        {ok, Text} -> {ok, {From, Text}};
        error -> error
    end;
source(source, Value) -> plain(Value);
source(_, _) -> error.

plain(Value) ->
    case merlon_secrets_text:text(Value) of
        {ok, Text} -> {ok, {value, Text}};
        error -> error
    end.

%% The same text is the same reference, so that a setting that stays as it was is seen to.
held(Text) ->
    {ok, New} = merlon_nif:secret_new(Text),
    Known = persistent_term:get(?HELD, []),
    case [Ref || Ref <- Known, merlon_nif:kdf_equal(Ref, New)] of
        [Ref | _] -> Ref;
        [] ->
            ok = persistent_term:put(?HELD, lists:sublist([New | Known], ?MOST_HELD)),
            New
    end.

unknown(Kind, Name) ->
    Known = [atom_to_list(Option) || {Option, _} <- options(Kind)],
    case merlon_text:nearest(atom_to_list(Name), Known) of
        {ok, Near} -> ["no option ", word(Name), ": is it ", Near, " that you mean?"];
        none -> ["no option ", word(Name), ": the known ones are refresh, ", lists:join(", ", Known)]
    end.

word(Name) -> unicode:characters_to_binary(atom_to_list(Name)).

form(text) -> "with a text in double quotes";
form({one_of, Words}) -> ["with one of ", lists:join(", ", [["\"", Word, "\""] || Word <- Words])];
form(source) -> "with a text in double quotes, {file, \"/PATH\"} or {env, \"VARIABLE\"}";
form(secret) -> "with {file, \"/PATH\"}, {env, \"VARIABLE\"} or {value, \"TEXT\"}".

%% What the native library would not take is said with file and line, and not when the node is half up.
works({Kind, Sources, _} = Setting) ->
    case made(Kind, Sources) of
        {ok, _} -> {ok, Setting};
        {error, Fault} -> {error, [atom_to_list(Kind), ": ", merlon_secrets_text:words(Fault)]}
    end.

made(Kind, Sources) ->
    merlon_nif:fetch_store(Kind, lists:keydelete(environment, 1, Sources)).

%% Whether a secret stands in merlon.config itself.
-spec is_inline(setting()) -> boolean().
is_inline({Kind, Sources, _}) ->
    lists:any(fun({Name, {value, _}}) -> lists:member({Name, secret}, options(Kind));
                 (_) -> false
              end, Sources).

-spec name(setting()) -> iodata().
name({vault, Sources, _}) ->
    ["vault ", said(url, Sources, ""), " ", said(mount, Sources, "secret"), $/, said(path, Sources, "")];
name({aws_secretsmanager, Sources, _}) ->
    ["AWS Secrets Manager ", said(secret, Sources, "")];
name({gcp_secret_manager, Sources, _}) ->
    ["Google Secret Manager ", said(project, Sources, ""), $/, said(secret, Sources, "")].

said(Name, Sources, Default) ->
    case lists:keyfind(Name, 1, Sources) of
        {Name, {value, Text}} when is_binary(Text) -> Text;
        _ -> Default
    end.

%% ---- fetching ----

%% Variables that are named here, and those of AWS unless the application needs them too, have their secrets for merlon
%% alone. The native library reads them where the operating system has put them.
-spec open(setting()) -> {ok, merlon_nif:store()} | {error, merlon_secrets:fault()}.
open({Kind, Sources, _}) ->
    true = lists:all(fun os:unsetenv/1, [binary_to_list(Name) || {_, {env, Name}} <- Sources] ++ unnamed(Kind, Sources)),
    made(Kind, Sources).

%% Where they are not asked for, they are not merlon's.
unnamed(aws_secretsmanager, Sources) ->
    Ways = [<<"default">>, <<"environment">>],
    case said(environment, Sources, <<"remove">>) =:= <<"remove">> andalso not lists:keymember(access_key_id, 1, Sources)
        andalso lists:member(said(credentials, Sources, <<"default">>), Ways) of
        true -> ?AWS;
        false -> []
    end;
unnamed(_Kind, _Sources) -> [].

-spec fetch(merlon_nif:store(), pos_integer()) -> {ok, merlon_secrets:delivered()} | {error, merlon_secrets:fault()}.
fetch(Store, Timeout) ->
    case merlon_nif:fetch_value(Store, Timeout) of
        {ok, {Text, Version}} -> {ok, #{text => Text, version => Version}};
        {error, _} = Error -> Error
    end.

-spec watch(setting()) -> pos_integer().
watch({_Kind, _Sources, Every}) -> Every.
