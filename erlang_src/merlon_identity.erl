%% SPDX-License-Identifier: Apache-2.0
%% Which certificate a node name uses, and whether it can be used at all: files, modes, key, chain,
%% validity, name. Everything that can be wrong is found here, before the node listens. Runs while
%% the node boots, before there is a file server.
-module(merlon_identity).

-export([load/1, load/2, load_folder/2, use/3, folder/2, folder/1, inspect/1, format_error/1]).
-export_type([loaded/0, folder/0, problem/0, reason/0]).

-type name() :: {Name :: string() | binary(), Host :: string() | binary()}.
-type folder() :: {node | cli, merlon_dir:path()} | {secret, merlon_identity_secret:subject()}.
%% With `subject` and `due` it is made of the keyring, and has no files of its own.
-type loaded() :: #{ref := merlon_nif:identity(), identity := tuple(), dir := merlon_dir:path(),
                    config := merlon_config:config(), not_before := integer(),
                    not_after := integer(), sha256 := binary(), crl_due := integer() | none,
                    crls := [merlon_nif:list_id()],
                    chain := binary(), digest := binary(), keyring := merlon_keyring:keyring(),
                    joins := merlon_enroll:joins(),
                    subject => merlon_identity_secret:subject(), due => integer()}.
-type reason() :: {bad_name, binary()} |
                  {no_identity, Name :: binary(), Dir :: string()} |
                  {no_trust, merlon_dir:path()} |
                  {not_pem, merlon_dir:path(), Wanted :: binary()} |
                  {wrong_folder, Cert :: merlon_dir:path(), Found :: binary()} |
                  {unusable, Cert :: merlon_dir:path(), merlon_nif:pki_reason()} |
                  {older_list, Dir :: merlon_dir:path(), Made :: integer(), InUse :: integer()} |
                  merlon_identity_secret:reason().
-type problem() :: {identity, reason()} | {config, merlon_config:reason()} |
                   {file, merlon_dir:reason()} | {no_dir, [string()]} |
                   {pki, merlon_nif:pki_reason()} | {nif, string()} |
                  {keyring, merlon_keyring:reason()} | {secrets, merlon_secrets:reason()} |
                  {rotate, merlon_rotate_files:reason()} | {refused, iodata()}.

%% The identity for Name@Host from the merlon dir, wherever that is. Name is "" or "undefined" for
%% a node that lets its peer choose its name.
-spec load(node() | name()) -> {ok, loaded()} | {error, problem()}.
load(Node) ->
    steps([fun(_) -> merlon_config:dir() end,
           fun merlon_config:load/1,
           fun(Config) -> load(Node, Config) end], start).

%% The same with a configuration that was read already.
-spec load(node() | name(), merlon_config:config()) -> {ok, loaded()} | {error, problem()}.
load(Node, Config) ->
    steps([fun(_) -> folder(name(Node), Config) end,
           fun(Folder) -> load_folder(Folder, Config) end], start).

%% The same when the folder is known.
-spec load_folder(folder(), merlon_config:config()) -> {ok, loaded()} | {error, problem()}.
load_folder(Folder, Config) ->
    steps([fun(_) -> merlon_identity_files:read(Folder, Config) end,
           fun(#{keyring := Keyring} = Files) -> with(Keyring, Files, Config) end,
           fun(Files) -> use(Files, Config, erlang:system_time(second)) end], start).

with(Keyring, Files, Config) ->
    case merlon_keyring:usable(Keyring, none, merlon_secrets:source(Config)) of
        ok -> {ok, Files};
        {error, _} = Error -> Error
    end.

steps([], Value) -> {ok, Value};
steps([Step | Steps], Value) ->
    case Step(Value) of
        {ok, Next} -> steps(Steps, Next);
        {error, _} = Error -> Error
    end.

name(Node) when is_atom(Node) ->
    case binary:split(atom_to_binary(Node), <<"@">>) of
        [Name, Host] -> {Name, Host};
        [Name] -> {Name, <<>>}
    end;
name({Name, Host}) ->
    {unicode:characters_to_binary(Name), unicode:characters_to_binary(Host)}.

%% ---- which folder ----

%% Where what a node uses has come from.
-spec folder(loaded() | map()) -> folder().
folder(#{subject := Subject}) -> {secret, Subject};
folder(#{dir := Folder, identity := Identity}) -> {element(1, Identity), Folder}.

%% The node's own; else that of a node on this host from whose name this one is derived; else a
%% tool's, if it is a name that tools have. A tool never gets a node's.
-spec folder({Name :: binary(), Host :: binary()}, merlon_config:config()) ->
          {ok, folder()} | {error, {identity, reason()}}.
folder({Name, Host}, Config) ->
    Full = <<Name/binary, $@, Host/binary>>,
    case re:run(Full, "\\A[^/\\x00]*\\z", [{capture, none}]) of
        match when map_get(identity, Config) =:= secret ->
            {ok, {secret, merlon_identity_secret:subject({Name, Host}, Config)}};
        match -> first([fun own/4, fun derived/4, fun tool/4], Name, Host, Full, Config);
        nomatch -> {error, {identity, {bad_name, Full}}}
    end.

first([], _Name, _Host, Full, #{dir := Dir}) ->
    {error, {identity, {no_identity, Full, Dir}}};
first([Way | Ways], Name, Host, Full, Config) ->
    case Way(Name, Host, Full, Config) of
        none -> first(Ways, Name, Host, Full, Config);
        Folder -> {ok, Folder}
    end.

own(_Name, _Host, Full, #{dir := Dir}) ->
    Folder = merlon_dir:path([Dir, "nodes", Full]),
    case merlon_dir:is_dir(Folder) of
        true -> {node, Folder};
        false -> none
    end.

%% RabbitMQ's prelaunch node calls itself @localhost wherever it is.
derived(Name, Host, _Full, #{dir := Dir} = Config) ->
    Derives = fun({Node, On}) ->
                      (On =:= Host orelse Host =:= <<"localhost">>)
                          andalso binds({node, Node, On}, <<Name/binary, $@, On/binary>>, Config)
              end,
    one(node, [Entry || Entry <- entries(Dir, "nodes"), Derives(element(1, Entry))]).

tool(Name, Host, Full, #{dir := Dir} = Config) ->
    Claimed = case dynamic(Name) of
                  true -> <<$@, Host/binary>>;
                  false -> Full
              end,
    readable(preferred(Host, [Entry || {{User, On}, _} = Entry <- entries(Dir, "cli"),
                                       binds({cli, User, On}, Claimed, Config)])).

binds(Identity, Claimed, #{cli_names := CliNames, derived_names := DerivedNames}) ->
    merlon_nif:binds(Identity, Claimed, CliNames, DerivedNames).

dynamic(Name) -> Name =:= <<>> orelse Name =:= <<"undefined">>.

%% The OS user's own before others', this host's before other hosts'.
preferred(Host, Entries) ->
    Users = [merlon_dir:path([User]) || Variable <- ["USER", "LOGNAME"],
                                        User <- [os:getenv(Variable)], User =/= false],
    Rank = fun({User, On}) -> {not lists:member(User, Users), On =/= Host} end,
    [Entry || {_, Entry} <- lists:sort([{Rank(element(1, Entry)), Entry} || Entry <- Entries])].

%% If none can be read, the error about the best one is told.
readable(Entries) ->
    Readable = [Entry || {_, Folder} = Entry <- Entries,
                         {ok, _} <- [merlon_dir:read_secret(merlon_identity_files:key(Folder))]],
    one(cli, Readable ++ Entries).

one(_Kind, []) -> none;
one(Kind, [{_, Folder} | _]) -> {Kind, Folder}.

entries(Dir, Kind) ->
    Above = merlon_dir:path([Dir, Kind]),
    case merlon_dir:list(Above) of
        {ok, Names} -> [{{Name, Host}, merlon_dir:path([Above, Full])}
                        || Full <- Names, [Name, Host] <- [binary:split(Full, <<"@">>)]];
        {error, _} -> []
    end.

%% ---- what is in it ----

%% A checked identity from files that were read, as they are good at the time Now.
-spec use(merlon_identity_files:files(), merlon_config:config(), Now :: integer()) ->
          {ok, loaded()} | {error, problem()}.
use(#{kind := secret, subject := Subject} = Files, Config, _Now) ->
    merlon_identity_secret:mint(Subject, Files, Config);
use(#{folder := Folder, cert := Cert, trust := Trust, crls := Crls, keyring := Keyring} = Files, Config, Now) ->
    Args = maps:merge(maps:with([cert, key], Files),
                      maps:with([cluster, cli_names, derived_names, key_update_after, stale_crl],
                                Config)),
    try merlon_nif:identity_new(Args#{trust => texts(Trust), crls => texts(Crls),
                                      now => Now}) of
        {ok, Ref} ->
            in_its_place(Files, #{ref => Ref, dir => Folder, config => Config, keyring => Keyring,
                                  joins => merlon_enroll:server(Files, Config, Now),
                                  chain => erlang:md5(Cert),
                                  digest => merlon_identity_files:digest(Files, Config)});
        {error, {pki, Reason}} ->
            {error, {identity, {unusable, cert_file(Folder), Reason}}}
    catch
        %% A stacktrace would hold the key.
        error:_ -> {error, {identity, {unusable, cert_file(Folder), malformed_pem}}}
    end.

cert_file(Folder) -> merlon_identity_files:cert(Folder).

texts(Files) -> [Text || {_, Text} <- Files].

%% What the certificates of a PEM text say.
-spec inspect(binary()) -> {ok, [map()]} | {error, {pki, merlon_nif:pki_reason()}}.
inspect(Text) ->
    case merlon_identity_files:is_pem(Text) of
        true -> merlon_nif:pki_inspect(Text);
        false -> {error, {pki, malformed_pem}}
    end.

%% A certificate in another's folder is a mistake that would only show at the first handshake.
in_its_place(#{kind := Kind, folder := Folder}, #{ref := Ref} = Loaded) ->
    Info = #{identity := {Found, _, Name, Host}} = merlon_nif:identity_info(Ref),
    Full = <<Name/binary, $@, Host/binary>>,
    case {Found, Full} =:= {Kind, filename:basename(Folder)} of
        true -> {ok, maps:merge(Loaded, Info)};
        false -> {error, {identity, {wrong_folder, cert_file(Folder), Full}}}
    end.

%% ---- words ----

%% One sentence, with what to do.
-spec format_error(problem()) -> iodata().
format_error({config, Reason}) -> merlon_config:format_error(Reason);
format_error({file, Reason}) -> file_error(Reason);
format_error({keyring, Reason}) -> merlon_keyring:format_error(Reason);
format_error({secrets, Reason}) -> merlon_secrets:format_error(Reason);
format_error({rotate, Reason}) -> merlon_rotate_files:format_error(Reason);
format_error({refused, Text}) -> Text;
format_error({no_dir, _} = Reason) -> merlon_dir:format_error(Reason);
format_error({pki, Reason}) -> merlon_pki_text:words(Reason);
format_error({nif, Text}) ->
    ["the native library can't be loaded (", unicode:characters_to_binary(Text),
     "): build it with `make build`"];
format_error({identity, {Word, _, _} = Reason}) when Word =:= mixed ->
    merlon_identity_secret:words(Reason);
format_error({identity, {Word, _} = Reason}) when Word =:= no_keyring; Word =:= not_minted ->
    merlon_identity_secret:words(Reason);
format_error({identity, {bad_name, Name}}) ->
    ["the node name ", printable(Name), " can't be used: / and NUL may not be in it"];
format_error({identity, {no_identity, Full, Dir}}) ->
    no_identity(binary:split(Full, <<"@">>), Full, merlon_dir:path([Dir]));
format_error({identity, {no_trust, Folder}}) ->
    [Folder, " holds no *.pem file: copy the certificate of the cluster's CA there "
     "(ca.pem of the machine that ran `merlon init`)"];
format_error({identity, {not_pem, File, Wanted}}) ->
    [File, " holds no readable ", Wanted, " in PEM: put one there"];
format_error({identity, {wrong_folder, Cert, Found}}) ->
    [Cert, " is for ", Found, ": rename its folder to that, or issue another with `",
     issue(Cert), "`"];
format_error({identity, {older_list, Dir, Made, InUse}}) ->
    ["the newest revocation list of a CA in ", Dir, " is of ", merlon_text:date(Made), ", older than the one "
     "in use, of ", merlon_text:date(InUse), ": put that one back into ", Dir, "/crl.pem or ", Dir, "/crl"];
format_error({identity, {unusable, Cert, Reason}}) ->
    [merlon_pki_text:about(Cert, Reason), advice(Reason, Cert)].

file_error({read, Path, enoent}) ->
    [Path, " does not exist: issue it with `", issue(Path), "`, or copy it there"];
file_error(Reason) ->
    merlon_dir:format_error(Reason).

no_identity([Name, Host], Full, Dir) ->
    case dynamic(Name) of
        true ->
            ["a node without a name of its own needs a tool's certificate in ", Dir,
             "/cli: issue one with `merlon cert --cli \"$USER\" ", host(Host), " --dir ", Dir, "`"];
        false ->
            Wanted = printable(bearer(Name, Host)),
            ["there is no certificate for ", printable(Full), " in ", Dir,
             ": issue it with `merlon cert ", Wanted, " --dir ", Dir,
             "` where the CA is, and copy nodes/", Wanted, " here"]
    end.

%% Whose certificate a node of this name uses: of RabbitMQ's prelaunch node the broker's.
bearer(Name, Host) ->
    case re:run(Name, "\\A(.+)_prelaunch_[0-9]+\\z", [{capture, all_but_first, binary}]) of
        {match, [Broker]} -> <<Broker/binary, $@, (here(Host))/binary>>;
        nomatch -> <<Name/binary, $@, Host/binary>>
    end.

here(<<"localhost">>) ->
    {ok, Host} = inet:gethostname(),
    list_to_binary(Host);
here(Host) -> Host.

host(<<>>) -> "HOST";
host(Host) -> printable(Host).

advice(Reason, Cert) when is_tuple(Reason) -> advice(element(1, Reason), Cert);
advice(not_yet_valid, _Cert) -> ": set this machine's clock";
advice(anchor_not_valid, Cert) -> [": renew the CA's certificate in ", above(Cert), "/trust"];
advice(unknown_issuer, Cert) ->
    [": put the certificate of the CA that issued it into ", above(Cert),
     "/trust, or issue another with `", issue(Cert), "`"];
advice(wrong_cluster, Cert) ->
    [": set {cluster, ...} in ", above(Cert), "/merlon.config right, or issue another with `",
     issue(Cert), "`"];
advice(Crl, Cert) when Crl =:= crl_expired; Crl =:= bad_crl; Crl =:= malformed_crl ->
    [": put a current revocation list into ", above(Cert), "/crl.pem or ", above(Cert), "/crl"];
advice(Anchor, Cert) when Anchor =:= no_anchors; Anchor =:= not_ca ->
    [": check the files in ", above(Cert), "/trust"];
advice(bad_pattern, Cert) -> [": change it in ", above(Cert), "/merlon.config"];
advice(_Reason, Cert) -> [": issue another with `", issue(Cert), "`"].

%% DIR of DIR/nodes/NAME@HOST/cert.pem.
above(Cert) -> filename:dirname(filename:dirname(filename:dirname(Cert))).

issue(File) ->
    Folder = filename:dirname(File),
    Subject = case {filename:basename(filename:dirname(Folder)), filename:basename(Folder)} of
                  {<<"cli">>, Full} ->
                      [User | Host] = binary:split(Full, <<"@">>),
                      ["--cli ", User, $\s, Host];
                  {_, Full} -> Full
              end,
    ["merlon cert ", Subject, " --force --dir ", above(File)].

%% In a message that may end up in a terminal.
printable(Name) -> re:replace(Name, "[\\x00-\\x1f\\x7f]", "?", [global]).
