%% SPDX-License-Identifier: Apache-2.0
%% The serving side of a join: a token is proven, and its names get a certificate of the CA in Dir. Runs in a process of
%% its own, which ends with it.
-module(merlon_join_server).

-export([shown/4, serve/3, text/1, details/1]).
-export_type([outcome/0]).

%% What came of it, for the log. A token is named by its id when it was proven, and by `claimed` when not.
-type outcome() :: {joined, #{name := binary(), kind := node | cli, token := binary(), serial := binary(),
                              keyring := boolean()}} |
                   {refused, #{reason := atom(), text := iodata(), token => binary(), claimed => binary(),
                               name => binary()}}.

%% Of what goes with a certificate: less than a message may have (TO_CLIENT_MAX in native/tls/src/join.rs).
-define(MAX_BYTES, 4000000).
-define(MAX_PARTS, 200).
%% Milliseconds kept for signing and handing out: a token must not be spent when there is no time left for that.
-define(DELIVERY, 2000).

%% What is shown to those who join: a node's certificate and key, and the CA of Dir behind it.
-spec shown(string(), Cert :: binary(), Key :: binary(), Now :: integer()) ->
          {ok, merlon_nif:join_server()} | {error, {pki, merlon_nif:pki_reason()} | {file, merlon_dir:reason()}}.
shown(Dir, Cert, Key, Now) ->
    case merlon_dir:read(merlon_dir:path([Dir, "ca", "ca.pem"])) of
        {ok, Root} ->
            try merlon_nif:join_server(#{chain => <<Cert/binary, $\n, Root/binary>>, key => Key, root => Root, now => Now})
            catch error:_ -> {error, {pki, malformed_pem}} % a stacktrace would hold the key
            end;
        {error, _} = Error -> Error
    end.

%% To the end of the session; the connection is closed when this returns.
-spec serve(merlon_nif:conn(), string(), merlon_handshake:deadline()) -> outcome().
serve(Conn, Dir, Deadline) ->
    _ = process_flag(sensitive, true),
    Outcome = try session(Conn, Dir, Deadline)
              catch throw:{refused, _} = Refused -> Refused
              end,
    ok = merlon_nif:close(Conn),
    Outcome.

session(Conn, Dir, Deadline) ->
    ok(merlon_join_wire:up(Conn, Deadline), #{}),
    {Id, Tag} = read(hello, Conn, Deadline, #{}),
    Name = merlon_token_core:id_text(Id),
    #{key := Key} = Record = proven(Conn, merlon_token:find(Dir, Name), Tag, #{claimed => Name}, Deadline),
    {ok, Proof} = merlon_nif:join_proof(Conn, Key, server),
    Known = #{token => Name},
    ok(merlon_join_wire:send(Conn, merlon_join_core:proof(Proof), Deadline), Known),
    {Node, Csr} = read(request, Conn, Deadline, Known),
    granted(Conn, Dir, Record, {Node, Csr}, Known#{name => Node}, Deadline).

%% That a token was used or has expired is for those who hold it.
proven(Conn, none, _Tag, Known, Deadline) ->
    refuse(Conn, unknown_token, "nobody made that token here", Known, Deadline);
proven(Conn, {ok, Fate, #{id := Id, key := Key} = Record}, Tag, Known, Deadline) ->
    case {merlon_nif:join_check(Conn, Key, client, Tag), merlon_token:state({Fate, Record}, now_s())} of
        {ok, open} -> Record;
        {ok, used} -> refuse(Conn, used, ["the token was used before", who(Record)], #{token => Id}, Deadline);
        {ok, expired} -> refuse(Conn, expired, "the token has expired", #{token => Id}, Deadline);
        {ok, revoked} -> refuse(Conn, revoked, "the token was revoked", #{token => Id}, Deadline);
        {{error, bad_proof}, _} ->
            refuse(Conn, unknown_token, "that token exists, but its secret was not proven", Known, Deadline)
    end.

who(#{used := What}) -> [", for ", What];
who(_) -> "".

granted(Conn, Dir, #{kind := Kind, names := Names} = Record, {Name, Csr}, Known, Deadline) ->
    case merlon_token_core:covers(Name, Names) of
        false -> refuse(Conn, not_covered, "the token is not for that name", Known, Deadline);
        How ->
            case issue(Dir, Record, How, Name, Csr, address(Conn), Deadline) of
                {ok, Cert, Parts} -> hand_out(Conn, Cert, Parts, Known#{kind => Kind}, Deadline);
                {error, {Code, Text}} -> refuse(Conn, Code, Text, Known, Deadline)
            end
    end.

hand_out(Conn, Cert, Parts, Known, Deadline) ->
    {ok, [#{serial := Serial} | _]} = merlon_identity:inspect(Cert),
    case merlon_join_wire:send(Conn, merlon_join_core:grant([{cert, Cert} | Parts]), Deadline) of
        ok -> {joined, Known#{serial => Serial, keyring => lists:keymember(keyring, 1, Parts)}};
        {error, #{text := Text} = Failure} ->
            broken(Failure#{text := iolist_to_binary(["certificate ", Serial, " was signed and did not arrive: ", Text])},
                   maps:remove(kind, Known))
    end.

%% What the new node needs is read before the token is taken: a dir that is not in order costs none.
issue(Dir, Record, How, Name, Csr, From, Deadline) ->
    case parts(Dir) of
        {ok, Parts} ->
            Locked = fun(Work) -> locked(Dir, Work, Record, How, Name, Csr, From) end,
            Left = max(0, merlon_handshake:time_left(Deadline)),
            case merlon_dir_write:in_turn(merlon_dir:path([Dir]), Locked, Deadline - min(?DELIVERY, Left div 2)) of
                {done, {ok, Cert}} -> {ok, Cert, Parts};
                {done, {error, _} = Error} -> Error;
                {error, Reason} -> internal(Reason)
            end;
        {error, Reason} -> internal(Reason)
    end.

%% The token is taken before anything is signed: what can't be signed after all has cost a token, and
%% nothing ever costs none.
locked(Dir, Work, #{id := Id, kind := Kind, days := Days} = Record, How, Name, Csr, From) ->
    Now = now_s(),
    Free = How =:= exact orelse is_free(Dir, Name, Now),
    Open = merlon_token:state({open, Record}, Now) =:= open, % it may have run out since it was proven
    case Open andalso Free andalso take(merlon_identity_write:room(Work), Dir, Id) of
        false when not Open -> {error, {expired, "the token has expired"}};
        false -> {error, {name_taken, "a token with a pattern gives no name that has a certificate"}};
        {error, spent} -> {error, {used, "the token was used in the same moment"}};
        {error, Reason} -> internal(Reason);
        ok ->
            [Before, Host] = binary:split(Name, <<"@">>),
            Grant = #{csr => Csr, subject => {Kind, Before, Host}, days => Days, now => Now},
            signed(merlon_sign:csr(Dir, Work, Grant), Dir, Work, Record, [Name, " from ", From, " at ", merlon_text:date(Now)])
    end.

%% A full disk costs no token either.
take(ok, Dir, Id) -> merlon_token:take(Dir, Id);
take({error, _} = Error, _Dir, _Id) -> Error.

is_free(Dir, Name, Now) ->
    case merlon_issued:known(merlon_dir:path([Dir]), Name) of
        {ok, Entries} -> [] =:= [Entry || #{not_after := End} = Entry <- Entries, End >= Now];
        {error, _} -> false
    end.

signed(Signed, Dir, Work, Record, What) ->
    _ = merlon_token:used(Dir, Work, Record, What),
    case Signed of
        {ok, Cert} -> {ok, Cert};
        {error, {pki, Reason}} -> {error, {bad_request, merlon_pki_text:words(Reason)}};
        {error, Reason} -> internal(Reason)
    end.

%% Trust, revocation lists and keyring of Dir; and what was said of its roots, so that nobody else can tell who is new what was
%% taken back since.
parts(Dir) ->
    case {merlon_identity_files:trust(Dir), merlon_identity_files:crls(Dir), merlon_keyring:text(merlon_keyring:file(Dir))} of
        {{ok, Trust}, {ok, Crls}, {ok, Keyring}} ->
            small([{trust, Text} || {_, Text} <- Trust] ++ [{crl, Text} || {_, Text} <- Crls]
                  ++ [{keyring, Keyring} || Keyring =/= none] ++ [{rotation, Text} || Text <- merlon_roots_files:of_trusted(Dir)]);
        {{error, Reason}, _, _} -> {error, Reason};
        {_, {error, Reason}, _} -> {error, Reason};
        {_, _, {error, Reason}} -> {error, Reason}
    end.

%% As much as a joiner takes.
small(Parts) ->
    case length(Parts) =< ?MAX_PARTS andalso iolist_size([Text || {_, Text} <- Parts]) =< ?MAX_BYTES of
        true -> {ok, Parts};
        false -> {error, {refused, "trust and revocation lists are more than a join can carry (4 MB, 200 files): "
                                   "copy them by hand"}}
    end.

internal({refused, Text}) -> {error, {internal, Text}};
internal(Reason) -> {error, {internal, merlon_identity:format_error(Reason)}}.

address(Conn) ->
    case merlon_nif:peername(Conn) of
        {ok, {Ip, _}} -> inet:ntoa(Ip);
        {error, _} -> "unknown"
    end.

%% ---- every step ends the session when it fails ----

read(Due, Conn, Deadline, Known) ->
    case merlon_join_wire:recv(Conn, Deadline) of
        {ok, Message} ->
            case merlon_join_core:read(Due, Message) of
                {ok, Read} -> Read;
                {error, malformed} -> throw({refused, Known#{reason => malformed, text => "it sent no message of this protocol"}})
            end;
        {error, Failure} -> broken(Failure, Known)
    end.

ok(ok, _Known) -> ok;
ok({error, Failure}, Known) -> broken(Failure, Known).

-spec broken(merlon_join_wire:failure(), map()) -> no_return().
broken(Failure, Known) -> throw({refused, maps:merge(maps:with([reason, text], Failure), Known)}).

-spec refuse(merlon_nif:conn(), merlon_join_core:refusal(), iodata(), map(), integer()) -> no_return().
refuse(Conn, Code, Text, Known, Deadline) ->
    _ = merlon_join_wire:send(Conn, merlon_join_core:refusal(Code), Deadline),
    throw({refused, Known#{reason => Code, text => Text}}).

now_s() -> erlang:system_time(second).

%% One line.
-spec text(outcome()) -> iodata().
text({joined, _} = Outcome) -> ["joined: ", details(Outcome)];
text({refused, #{reason := Reason}} = Outcome) -> ["refused: ", atom_to_binary(Reason), ": ", details(Outcome)].

%% What there is to say beside that and the reason.
-spec details(outcome()) -> iodata().
details({joined, #{name := Name, kind := Kind, token := Token, serial := Serial, keyring := Keyring}}) ->
    [Name, [" (tools)" || Kind =:= cli], ", token ", Token, ", certificate ", Serial,
     [", with the keyring" || Keyring]];
details({refused, #{text := Text} = Known}) ->
    [Text, [[", ", atom_to_binary(Key), $\s, printable(maps:get(Key, Known))]
            || Key <- [name, token, claimed], is_map_key(Key, Known)]].

printable(Text) -> [case Char of _ when Char > 32, Char < 127 -> Char; _ -> $? end || <<Char>> <= Text].
