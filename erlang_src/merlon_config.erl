%% SPDX-License-Identifier: Apache-2.0
%% DIR/merlon.config: Erlang terms `{Key, Value}.`, one per setting. A setting that nobody knows or
%% a value that makes no sense stops the node, with file and line. Runs while the node boots,
%% before there is a file server.
-module(merlon_config).

-export([dir/0, load/1, file/1, keys/0, at_start/0, format_error/1]).
-export_type([config/0, reason/0]).

-type config() ::
        #{dir := string(), cluster := binary(), identity := certificate | secret,
          core_files := without_memory | whole,
          cli_names := default | [binary()], derived_names := [binary()],
          handshake_timeout := pos_integer(), max_handshakes := pos_integer(),
          key_update_after := pos_integer(), max_frame := pos_integer(),
          busy_poll := non_neg_integer(),
          stale_crl := refuse | warn, grace := non_neg_integer(),
          revoked_grace := non_neg_integer(), require_carrier := boolean(),
          renew := boolean(), issue := boolean(), enroll := boolean(),
          rotate_secret := off | never | {Every :: pos_integer(), Grace :: non_neg_integer()},
          secret := none | merlon_secrets:provider(), secret_wait := pos_integer(),
          listen := default | [merlon_listen:place()],
          allow := [merlon_cidr:cidr()], deny := [merlon_cidr:cidr()], unlimited := [merlon_cidr:cidr()],
          source_burst := pos_integer(), source_rate := pos_integer(),
          source_backoff := non_neg_integer(), log_interval := non_neg_integer(), interop := merlon_interop:interop(),
          epmd := merlon_epmd_core:strategy(), status := merlon_status_core:place()}.
%% `application` is the application's environment, in the place of a line of the file.
-type reason() :: {merlon_dir:path(), Line :: non_neg_integer() | application, Problem :: term()}.
-type key() :: {atom(), required | {default, term()}, kind(), Meaning :: string()}.
-type kind() :: cluster | epmd | interop | patterns | boolean | rotation | networks | places | {integer, non_neg_integer(), pos_integer()} |
                {one_of, [atom()]} | secret | status | {secret | status, Must :: iodata()}.

-define(MONTH, 2592000).

%% Where the merlon dir is; see the README for the places looked at.
-spec dir() -> {ok, string()} | {error, {no_dir, [string()]}}.
dir() -> merlon_dir:find().

-spec file(string()) -> merlon_dir:path().
file(Dir) -> merlon_dir:path([Dir, "merlon.config"]).

%% Every setting: its name, its default, its kind, what it is for.
-spec keys() -> [key()].
keys() ->
    [{cluster, required, cluster, "the cluster's name, as in its certificates"},
     {identity, {default, certificate}, {one_of, [certificate, secret]},
      "whether nodes have certificates, or make themselves some of the keyring"},
     {core_files, {default, without_memory}, {one_of, [without_memory, whole]},
      "whether a core file of the node has its memory, and all secrets, in it"},
     {cli_names, {default, default}, patterns,
      "names that a tool's certificate may use on its host; * stands for any characters"},
     {derived_names, {default, [<<"{name}_prelaunch_*">>]}, patterns,
      "names that a node's certificate may use beside its own; {name} stands for its own"},
     {handshake_timeout, {default, 7000}, {integer, 100, 600000},
      "milliseconds until a peer that has not finished its handshake is dropped"},
     {max_handshakes, {default, 64}, {integer, 1, 65536},
      "incoming handshakes at a time"},
     {key_update_after, {default, 1 bsl 23}, {integer, 1, 1 bsl 24},
      "TLS records sent under one key"},
     {max_frame, {default, 1 bsl 31}, {integer, 1 bsl 16, 1 bsl 40},
      "bytes of the largest distribution message accepted"},
     {busy_poll, {default, 100}, {integer, 0, 1000},
      "microseconds that a link looks for the next message before it waits to be woken; 0: not at all"},
     {stale_crl, {default, refuse}, {one_of, [refuse, warn]},
      "what a revocation list past its next update does to new links"},
     {grace, {default, 0}, {integer, 0, ?MONTH},
      "seconds that a link outlives its peer's certificate or CA"},
     {revoked_grace, {default, 0}, {integer, 0, ?MONTH},
      "seconds that a link outlives the revocation of its peer's certificate"},
     {require_carrier, {default, false}, boolean,
      "whether the application refuses to start on a node without the carrier"},
     {renew, {default, true}, boolean,
      "whether the node gets its next certificate by itself, from a node that holds the CA's key"},
     {issue, {default, true}, boolean,
      "whether the node, if it holds the CA's key, gives others their next certificates"},
     {enroll, {default, false}, boolean,
      "whether a node that holds the CA lets others join on its distribution port"},
     {rotate_secret, {default, never}, rotation,
      "how often one of the nodes makes a new keyring entry; off: entries are not spread either"},
     {secret, {default, none}, secret,
      "where the keyring comes from, if not from the file keyring of the merlon dir"},
     {secret_wait, {default, 30000}, {integer, 1000, 600000},
      "milliseconds that a starting node asks there until it gives up"},
     {listen, {default, default}, places,
      "addresses or interfaces to listen on; without it all, or loopback for a node NAME@localhost"},
     {allow, {default, merlon_cidr:any()}, networks,
      "addresses that may connect"},
     {deny, {default, []}, networks,
      "addresses that may not connect, even if they are allowed"},
     {source_burst, {default, 64}, {integer, 1, 65536},
      "connections that one address may open at once before it is slowed down"},
     {source_rate, {default, 2}, {integer, 1, 1000},
      "connections a second that one address may open after that; a proof gives it all back"},
     {source_backoff, {default, 5000}, {integer, 0, 600000},
      "milliseconds of the longest pause for an address that fails again and again"},
     {unlimited, {default, merlon_cidr:loopback()}, networks,
      "addresses that the three settings before this do not count for"},
     {log_interval, {default, 60}, {integer, 0, 86400},
      "seconds after which repeated log lines are summed up; 0 writes every one"},
     {epmd, {default, element(2, merlon_epmd_core:check({names, []}))}, epmd,
      "with -epmd_module merlon_epmd: how nodes find each other's ports"},
     {interop, {default, merlon_interop:none()}, interop,
      "who may link without merlon while a cluster moves to it"},
     {status, {default, off}, status,
      "address and port of the status page; TLS and a tool's certificate unless it is a loopback address"}].

%% The settings that are taken when the node starts and not while it runs.
-spec at_start() -> [atom()].
at_start() -> [cluster, identity, core_files, require_carrier, secret, secret_wait, listen, epmd].

-spec load(Dir :: string()) -> {ok, config()} | {error, {config, reason()}}.
load(Dir) ->
    File = file(Dir),
    try
        Given = given(File, Dir),
        ok = private(File, Given),
        {ok, (with_defaults(File, maps:merge(Given, of_application())))#{dir => Dir}}
    catch
        throw:{problem, Line, Problem} -> {error, {config, {File, Line, Problem}}}
    end.

%% Where there is a keyring and nothing else, nothing else is needed.
given(File, Dir) ->
    case merlon_dir:exists(File) orelse not merlon_identity_secret:bare(Dir) of
        true -> settings(File, text(File, Dir));
        false -> #{cluster => merlon_identity_secret:default_cluster(), identity => secret}
    end.

%% What the application's configuration says counts more than the file.
of_application() ->
    Settings = lists:foldl(fun(Term, Settings) -> setting(application, Term, Settings, none) end,
                           #{}, merlon_config_env:settings()),
    case merlon_secrets:is_inline(maps:get(secret, Settings, none)) of
        true -> problem(application, inline_secret);
        false -> Settings
    end.

%% With a secret in it, it is one.
private(File, Given) ->
    case merlon_secrets:is_inline(maps:get(secret, Given, none)) andalso merlon_dir:secret_mode(File) of
        {error, {file, Reason}} -> problem(0, Reason);
        _ -> ok
    end.

text(File, Dir) ->
    case {merlon_dir:exists(File), merlon_dir:exists(merlon_keyring:file(Dir))} of
        {false, true} -> problem(0, {mixed, merlon_identity_secret:foreign(Dir)});
        _ -> text(File)
    end.

text(File) ->
    case merlon_dir:read(File) of
        {ok, Bytes} -> characters(Bytes);
        {error, {file, Reason}} -> problem(0, Reason)
    end.

characters(Bytes) ->
    case unicode:characters_to_list(Bytes) of
        Text when is_list(Text) -> Text;
        {_, Good, _} -> problem(1 + length([Char || Char <- Good, Char =:= $\n]), not_utf8)
    end.

settings(File, Text) ->
    lists:foldl(fun({Line, Term}, Settings) -> setting(Line, Term, Settings, File) end,
                #{}, terms(Text, 1)).

terms(Text, Line) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because merlon.config is the operator's own
    case erl_scan:tokens([], Text, Line) of
        {done, Result, Rest} -> scanned(Result, Rest);
        {more, Continuation} ->
            %% merlon: allow dynamic_atom until 2027-11-30 because merlon.config is the operator's own
            {done, Result, Rest} = erl_scan:tokens(Continuation, eof, Line),
            scanned(Result, Rest)
    end.

scanned({eof, _}, _Rest) -> [];
scanned({ok, [First | _] = Tokens, End}, Rest) ->
    [{erl_scan:line(First), term(Tokens)} | terms(unless_eof(Rest), End)];
scanned({error, {Line, Module, Description}, _}, _Rest) ->
    problem(Line, {syntax, syntax(Module, Description)}).

unless_eof(eof) -> "";
unless_eof(Rest) -> Rest.

term(Tokens) ->
    case erl_parse:parse_term(Tokens) of
        {ok, Term} -> Term;
        {error, {Line, Module, Description}} ->
            problem(Line, {syntax, syntax(Module, Description)})
    end.

%% What stands at the wrong place may be a secret: no text, word or number is shown.
syntax(erl_scan, {_, _, _Text}) -> "a quote has no end";
syntax(erl_parse, [Before, Token]) ->
    case re:run(unicode:characters_to_binary(Token), "[^[:punct:]]", [{capture, none}]) of
        nomatch -> [Before, Token];
        match -> [Before, "a text, a word or a number"]
    end;
syntax(Module, Description) -> Module:format_error(Description).

setting(Line, {Key, _}, Settings, _File) when is_map_key(Key, Settings) ->
    problem(Line, {twice, Key});
setting(Line, {Key, Value}, Settings, _File) when is_atom(Key) ->
    case lists:keyfind(Key, 1, keys()) of
        {Key, _, Kind, _} -> Settings#{Key => value(Line, Key, Kind, Value)};
        false -> problem(Line, {unknown_key, Key})
    end;
setting(Line, _Other, _Settings, _File) ->
    problem(Line, not_a_setting).

value(Line, Key, Kind, Value) ->
    case value(Kind, Value) of
        {ok, Good} -> Good;
        error -> problem(Line, {bad_value, Key, Kind});
        {error, Must} -> problem(Line, {bad_value, Key, {Kind, Must}})
    end.

value(cluster, Value) ->
    case text_value(Value) of
        {ok, Name} -> cluster(Name);
        error -> error
    end;
value(patterns, Values) when is_list(Values) ->
    patterns([text_value(Value) || Value <- Values]);
value(networks, Values) when is_list(Values) ->
    all_of([parsed(text_value(Value), fun merlon_cidr:parse/1) || Value <- Values]);
value(places, [_ | _] = Values) ->
    all_of([parsed(text_value(Value), fun merlon_listen:place/1) || Value <- Values]);
value(boolean, Value) when is_boolean(Value) -> {ok, Value};
value(rotation, Word) when Word =:= off; Word =:= never -> {ok, Word};
value(rotation, {every, Every}) -> rotation(seconds(Every), default);
value(rotation, {every, Every, {grace, Grace}}) -> rotation(seconds(Every), seconds(Grace));
value({integer, Low, High}, Value) when is_integer(Value), Value >= Low, Value =< High ->
    {ok, Value};
value({one_of, Words}, Value) ->
    case lists:member(Value, Words) of
        true -> {ok, Value};
        false -> error
    end;
value(secret, Value) -> merlon_secrets:check(Value);
value(epmd, Value) -> merlon_epmd_core:check(Value);
value(interop, Value) -> merlon_interop:check(Value);
value(status, Value) -> merlon_status_core:place(Value);
value(_, _) -> error.

%% In seconds. More entries than a keyring holds would overlap if the grace were longer.
rotation(Every, default) when is_integer(Every) -> rotation(Every, min(86400, Every div 2));
rotation(Every, Grace) when is_integer(Every), is_integer(Grace), Every >= 10, Grace >= 5, Grace =< 4 * Every ->
    {ok, {Every, Grace}};
rotation(_, _) -> error.

seconds({Count, Unit}) when is_integer(Count), Count > 0, Count =< 3650 * 86400 ->
    case lists:keyfind(Unit, 1, [{days, 86400}, {hours, 3600}, {minutes, 60}, {seconds, 1}]) of
        {Unit, Seconds} -> Count * Seconds;
        false -> error
    end;
seconds(_) -> error.

%% The trust domain of a SPIFFE URI.
cluster(Name) ->
    case re:run(Name, "\\A[a-z0-9._-]{1,255}\\z", [{capture, none}]) of
        match -> {ok, Name};
        nomatch -> error
    end.

%% A pattern of stars alone would let a tool take any name.
patterns(Values) ->
    case [Name || {ok, Name} <- Values, re:run(Name, "[^*@/]", [{capture, none}]) =:= match,
                  binary:match(Name, [<<"@">>, <<"/">>]) =:= nomatch] of
        Names when length(Names) =:= length(Values) -> {ok, Names};
        _ -> error
    end.

parsed({ok, Text}, Parse) -> Parse(Text);
parsed(error, _Parse) -> error.

all_of(Results) ->
    case lists:member(error, Results) of
        true -> error;
        false -> {ok, [Value || {ok, Value} <- Results]}
    end.

text_value(Value) when is_binary(Value), Value =/= <<>>; is_list(Value), Value =/= [] ->
    try unicode:characters_to_binary(Value) of
        Text when is_binary(Text) -> {ok, Text};
        _ -> error
    catch
        error:badarg -> error
    end;
text_value(_) -> error.

with_defaults(File, Given) ->
    lists:foldl(fun(Key, Config) -> with_default(Key, Config, File) end, Given, keys()).

with_default({Key, _, _, _}, Config, _File) when is_map_key(Key, Config) -> Config;
with_default({Key, {default, Value}, _, _}, Config, _File) -> Config#{Key => Value};
with_default({Key, required, _, _}, _Config, _File) -> problem(0, {missing, Key}).

-spec problem(non_neg_integer() | application, term()) -> no_return().
problem(Line, Problem) -> throw({problem, Line, Problem}).

%% ---- words ----

-spec format_error(reason()) -> iodata().
format_error({File, 0, {read, _, enoent}}) ->
    [File, " does not exist: make the merlon dir with `merlon init --cluster NAME --dir ",
     filename:dirname(File), "`, or copy merlon.config there"];
format_error({_File, 0, {Operation, _, _} = Reason}) when Operation =:= read ->
    merlon_dir:format_error(Reason);
format_error({_File, 0, {too_open, _, _} = Reason}) ->
    merlon_dir:format_error(Reason);
format_error({_File, 0, {Word, _} = Reason}) when Word =:= too_big; Word =:= not_a_file ->
    merlon_dir:format_error(Reason);
format_error({File, 0, {mixed, Files}}) ->
    [File, " does not exist: copy it there, or, if nodes are to make themselves certificates of the keyring "
     "(the secret identity), remove ", lists:join(", ", Files)];
format_error({File, 0, {missing, Key}}) ->
    [File, ": no ", atom_to_binary(Key), " is set: add {", atom_to_binary(Key), ", \"NAME\"}."];
format_error({_File, application, Problem}) ->
    ["the application's configuration (config :merlon, or merlon in sys.config): ", words(Problem)];
format_error({File, Line, Problem}) ->
    [File, $:, integer_to_list(Line), ": ", words(Problem)].

words(not_utf8) ->
    "not UTF-8 text: save the file as UTF-8";
words({syntax, Description}) ->
    [bytes(Description), ": each setting is {Key, Value} and a full stop"];
words(inline_secret) ->
    "a secret must not stand there, where every process and each crash dump has it: name a provider that fetches it";
words(not_a_setting) ->
    "not a setting: write {Key, Value} and a full stop";
words({twice, Key}) ->
    [bytes(io_lib:format("~0tp", [Key])), " is set twice: remove one"];
words({unknown_key, Key}) ->
    ["unknown setting ", bytes(io_lib:format("~0tp", [Key])), ": ", known(atom_to_list(Key))];
words({bad_value, Key, Kind}) ->
    [atom_to_binary(Key), " must be ", kind(Kind)].

known(Key) ->
    Keys = [atom_to_list(Known) || {Known, _, _, _} <- keys()],
    case merlon_text:nearest(Key, Keys) of
        {ok, Near} -> ["is it ", Near, " that you mean?"];
        none -> ["the known ones are ", lists:join(", ", Keys)]
    end.

kind(cluster) -> "1 to 255 of the characters a-z 0-9 . _ - in double quotes";
kind(patterns) -> "a list of names in double quotes, none with @ or / in it or made of * alone";
kind({Kind, Must}) when Kind =:= secret; Kind =:= status -> Must;
kind(epmd) -> merlon_epmd_core:kind();
kind(interop) -> merlon_interop:format();
kind(networks) ->
    "a list of networks such as \"10.0.0.0/8\", \"2001:db8::/32\" or one address, in double quotes, without "
        "bits behind the prefix";
kind(places) ->
    "a list of addresses or interfaces such as \"10.0.0.7\", \"::1\" or \"eth0\", in double quotes, at least one";
kind(boolean) -> "true or false";
kind(rotation) ->
    "off, never, {every, {N, days | hours | minutes | seconds}} from 10 seconds on, or with a third "
    "element {grace, {N, ...}} of at most four times that";
kind({one_of, Words}) -> lists:join(" or ", [atom_to_list(Word) || Word <- Words]);
kind({integer, Low, High}) -> io_lib:format("a whole number from ~b to ~b", [Low, High]).

bytes(Text) -> unicode:characters_to_binary(Text).
