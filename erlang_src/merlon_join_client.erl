%% SPDX-License-Identifier: Apache-2.0
%% The joining side: proves a token, makes a key, and puts what it is given into a merlon dir. What is there already
%% stays as it is; what does not fit it is found out before the token is spent, as far as that can be.
-module(merlon_join_client).

-export([join/4]).
-export_type([joined/0]).

-type joined() :: #{cluster := binary(), server := tuple(), not_after := integer(),
                    wrote := [merlon_dir:path()], kept := [{merlon_dir:path(), same | differs}]}.

%% Milliseconds for one address, and for all of a session.
-define(CONNECT, 10000).
-define(SESSION, 30000).
%% For how long one who is turned away comes again, and what he waits each time (up to three times as long): servers let
%% few in in a second.
-define(AGAIN, 30000).
-define(PAUSE, 500).
%% For how long others may be at work in the dir when all is there.
-define(OTHERS, 30000).
-define(UNSPENT, "; the token is not spent").

%% Joins as Name (NAME@HOST, or USER@HOST for tools), which the token must cover.
-spec join(merlon_token_core:token(), Name :: binary(), string(), p256 | p384 | ed25519) ->
          {ok, joined()} | {error, term()}.
join(Token, Name, Dir, Alg) ->
    Before = process_flag(sensitive, true),
    try covered(Token, Name, Dir, Alg)
    after process_flag(sensitive, Before)
    end.

covered(#{names := Names} = Token, Name, Dir, Alg) ->
    case merlon_token_core:covers(Name, Names) of
        false -> {error, {refused, ["the token is not for ", Name, ", but for ", lists:join(", ", Names)]}};
        _ -> caught(fun() -> joined(Token, Name, Dir, Alg) end)
    end.

caught(Steps) ->
    try {ok, Steps()}
    catch throw:{failed, Error} -> {error, Error}
    end.

%% That the dir can be changed is found out before the token is shown. During the session it is anybody's.
joined(#{kind := Kind} = Token, Name, Dir, Alg) ->
    [Before, Host] = binary:split(Name, <<"@">>),
    Folder = merlon_cli_cert:folder(Dir, {Kind, binary_to_text(Before), binary_to_text(Host)}),
    Path = merlon_dir:path([Dir]),
    ok(merlon_dir_write:locked(Path, fun(Work) -> can_be_put(Folder, Work) end)),
    Given = given(Token, {Kind, Before, Host}, Name, Dir, Alg),
    Put = fun(Work) -> caught(fun() -> put_all(Given, Folder, Dir, Work) end) end,
    case merlon_dir_write:in_turn(Path, Put, now_ms() + ?OTHERS) of
        {done, {ok, Joined}} -> Joined;
        {done, {error, Reason}} -> spent(Reason);
        {error, Reason} -> spent(Reason)
    end.

can_be_put(Folder, Work) ->
    case {unless_there(Folder, ?UNSPENT), merlon_identity_write:room(Work)} of
        {ok, {error, {file, Reason}}} -> {error, {refused, [merlon_dir:format_error(Reason), ?UNSPENT]}};
        {Free, _} -> Free
    end.

given(Token, Subject, Name, Dir, Alg) ->
    {Conn, Deadline} = connected(Token),
    try session(Conn, Deadline, Token, Subject, Name, Dir, Alg)
    after merlon_nif:close(Conn)
    end.

-spec spent(term()) -> no_return().
spent({refused, Text}) -> failed([Text, "; the token is spent: make another"]);
spent(Reason) -> spent({refused, merlon_identity:format_error(Reason)}).

binary_to_text(Bytes) -> unicode:characters_to_list(Bytes).

now_ms() -> erlang:monotonic_time(millisecond).

unless_there(Folder, Hint) ->
    case [File || Name <- ["cert.pem", "key.pem"], File <- [merlon_dir:path([Folder, Name])], merlon_dir:exists(File)] of
        [] -> ok;
        [File | _] -> {error, {refused, [File, " exists already, and nothing is replaced: this name has joined. "
                                         "To join anew, move ", Folder, " away", Hint]}}
    end.

%% ---- the session ----

connected(#{at := At, pin := Pin}) ->
    Tries = [{Host, Ip, Port} || {Host, Port} <- At, Ip <- addresses(Host)],
    Tries =:= [] andalso failed(["no address of the token is known here: ",
                                 lists:join(", ", [Host || {Host, _} <- At]), ": put it into /etc/hosts or DNS, or make a token with "
                                 "--at HOST:PORT as this machine knows it"]),
    connected(Tries, Pin, now_ms() + ?AGAIN).

connected(Tries, Pin, Until) ->
    case first(Tries, Pin, []) of
        {ok, Conn} -> {Conn, now_ms() + ?SESSION};
        {failed, Failures} ->
            case now_ms() < Until andalso lists:any(fun turned_away/1, Failures) of
                true ->
                    timer:sleep(?PAUSE + rand:uniform(2 * ?PAUSE)),
                    connected(Tries, Pin, Until);
                false -> failed(["could not join", lists:join(";", lists:uniq([failure(Each) || Each <- lists:reverse(Failures)]))])
            end
    end.

first([], _Pin, Failures) -> {failed, Failures};
first([{Host, Ip, Port} | Tries], Pin, Failures) ->
    case merlon_join_wire:connect(Ip, Port, Pin, now_ms() + ?CONNECT) of
        {ok, Conn} -> {ok, Conn};
        {error, Failure} -> first(Tries, Pin, [{Host, Port, Failure} | Failures])
    end.

%% Hung up on without a word, as servers do where too many come.
turned_away({_, _, #{reason := Reason}}) -> lists:member(Reason, [peer_closed, closed, truncated, econnreset, epipe]).

failure({Host, Port, #{reason := Reason, text := Text}}) -> [" at ", Host, $:, integer_to_list(Port), ": ", why(Reason, Text)].

addresses(Host) ->
    Text = binary_to_text(Host),
    case inet:parse_strict_address(Text) of
        {ok, Ip} -> [Ip];
        {error, _} -> [Ip || Family <- [inet, inet6], {ok, Ips} <- [inet:getaddrs(Text, Family)], Ip <- Ips]
    end.

why(not_pinned, _Text) ->
    "it is not of the CA that the token names: somebody else answers there, or the CA has changed since; the token was not shown";
why(not_a_node, _Text) ->
    "it has a tool's certificate, and only nodes may let others join; the token was not shown";
why(peer_alert, Text) ->
    [Text, ": a node there must have {enroll, true} in merlon.config and hold the CA, or run `merlon enroll`"];
why(Reason, Text) when Reason =:= timeout; Reason =:= etimedout; Reason =:= ehostunreach; Reason =:= enetunreach ->
    [Text, ": look at the address (`merlon token --at`) and at firewalls between; or something else listens there"];
why(Reason, Text) when Reason =:= expired; Reason =:= not_yet_valid; Reason =:= anchor_not_valid ->
    [Text, ": the clock of this machine or of that one is wrong; the token was not shown"];
why(econnrefused, Text) -> [Text, ": run `merlon enroll` there, or make a token with the right --at"];
why(Reason, Text) ->
    case turned_away({none, none, #{reason => Reason}}) of
        true -> [Text, ", again and again: too many try to join there at the moment, or something else listens there"];
        false -> Text
    end.

%% What was given: certificate, key and parts.
session(Conn, Deadline, #{id := Id, secret := Secret, pin := Pin}, Subject, Name, Dir, Alg) ->
    {ok, #{identity := {node, Cluster, _, _} = Server, root := Root}} = merlon_nif:join_peer(Conn),
    fits(Dir, Cluster, Root, ?UNSPENT),
    {ok, Key} = merlon_nif:join_key(Id, Secret()),
    {ok, Proof} = merlon_nif:join_proof(Conn, Key, client),
    sent(merlon_join_wire:send(Conn, merlon_join_core:hello(Id, Proof), Deadline)),
    Tag = read(proof, Conn, Deadline),
    case merlon_nif:join_check(Conn, Key, server, Tag) of
        ok -> ok;
        {error, bad_proof} -> failed("the server does not know the token's secret: it is not the one that made it")
    end,
    #{csr := Csr, key := Private} = made(Cluster, Subject, Alg),
    sent(merlon_join_wire:send(Conn, merlon_join_core:request(Name, Csr), Deadline)),
    Parts = read(grant, Conn, Deadline),
    judged(#{cluster => Cluster, server => Server, root => Root, pin => Pin, key => Private, subject => Subject,
             cert => iolist_to_binary(of_kind(cert, Parts)), trust => of_kind(trust, Parts),
             crls => of_kind(crl, Parts), keyring => of_kind(keyring, Parts), rotation => of_kind(rotation, Parts)}).

of_kind(Kind, Parts) -> [Text || {K, Text} <- Parts, K =:= Kind].

made(Cluster, Subject, Alg) ->
    case merlon_nif:pki_new_csr(#{cluster => Cluster, identity => Subject, alg => Alg, ips => []}) of
        {ok, Made} -> Made;
        {error, {pki, Reason}} -> failed(merlon_pki_text:words(Reason))
    end.

%% A dir of another cluster or another CA is found out before the token is shown.
fits(Dir, Cluster, Root, Hint) ->
    case merlon_dir:exists(merlon_config:file(Dir)) of
        false -> ok;
        true ->
            #{cluster := Other} = value(merlon_config:load(Dir)),
            Other =:= Cluster orelse failed([merlon_config:file(Dir), " is of cluster ", Other, ", not ", Cluster,
                                             ": choose another --dir", Hint])
    end,
    Folder = merlon_dir:path([Dir, "trust"]),
    case merlon_identity_files:trust(Dir) of
        {ok, Files} ->
            lists:any(fun({_, Text}) -> has(Root, Text) end, Files)
                orelse failed([Folder, " trusts other CAs, and not that of ", Cluster,
                               ": choose another --dir, or put the CA there yourself", Hint]);
        {error, {identity, {no_trust, _}}} -> true;
        {error, Reason} -> throw({failed, Reason})
    end.

%% Whether a PEM text has that certificate.
has(Der, Text) ->
    Plain = fun(Pem) -> << <<Char>> || <<Char>> <= Pem, Char > 32 >> end,
    binary:match(Plain(Text), base64:encode(Der)) =/= nomatch.

read(Due, Conn, Deadline) ->
    case merlon_join_wire:recv(Conn, Deadline) of
        {ok, Message} ->
            case merlon_join_core:read(Due, Message) of
                {ok, Read} -> Read;
                {refused, Why} -> failed(merlon_join_core:words(Why));
                {error, malformed} -> failed("the server sent no message of this protocol: it is of another version")
            end;
        {error, #{text := Text}} -> broken(Text)
    end.

sent(ok) -> ok;
sent({error, #{text := Text}}) -> broken(Text).

%% It may have been signed for, or not.
-spec broken(iodata()) -> no_return().
broken(Text) -> failed([Text, ": try again; if the token is spent then (`merlon token --list` there says so), make another"]).

%% What was given is judged as a node judges it before it listens; whether an old revocation list will do is for that
%% node's own configuration.
judged(#{cert := Cert, key := Key, trust := Trust, crls := Crls, cluster := Cluster, subject := {Kind, Before, Host}} = Given) ->
    Args = #{cert => Cert, key => Key, trust => Trust, crls => Crls, stale_crl => warn, cluster => Cluster,
             cli_names => default, derived_names => [], key_update_after => 1, now => erlang:system_time(second)},
    try merlon_nif:identity_new(Args) of
        {ok, Ref} ->
            #{identity := Found, not_after := End} = merlon_nif:identity_info(Ref),
            Found =:= {Kind, Cluster, Before, Host} orelse failed("the server gave a certificate for another name"),
            Given#{not_after => End};
        {error, {pki, Reason}} -> failed(["the server gave what can't be used: ", merlon_pki_text:words(Reason)])
    catch error:_ -> failed("the server gave what can't be read") % a stacktrace would hold the key
    end.

%% ---- the files ----

%% Key and certificate come last: with them there, all is there.
put_all(#{cluster := Cluster, root := Root, server := Server, not_after := End, cert := Cert, key := Key, rotation := Said} = Given,
        Folder, Dir, Work) ->
    ok(unless_there(Folder, "")),
    fits(Dir, Cluster, Root, ""), % others may have been at work since
    Put = [put_new(File, Work, Text, Mode) || {File, Text, Mode} <- files(Given, Dir)],
    Taken = [taken(merlon_roots_files:take(Dir, Work, Cluster, Text, erlang:system_time(second)), Dir) || Text <- Said],
    Done = Put ++ lists:append(Taken),
    ok(merlon_dir_write:put_folder(Folder, Work, [{"key.pem", Key, 8#600}, {"cert.pem", Cert, 8#644}])),
    #{cluster => Cluster, server => Server, not_after => End,
      wrote => [File || {wrote, File} <- Done] ++ [merlon_dir:path([Folder, Name]) || Name <- ["key.pem", "cert.pem"]],
      kept => [{File, How} || {kept, File, How} <- Done]}.

files(#{cluster := Cluster, root := Root, trust := Trust, crls := Crls, keyring := Keyring}, Dir) ->
    {Pinned, Others} = lists:partition(fun(Text) -> has(Root, Text) end, Trust),
    Named = lists:zip(lists:seq(1, length(Trust)), Pinned ++ Others),
    [{merlon_dir:path([Dir, "trust", anchor(N)]), Text, 8#644} || {N, Text} <- Named]
        ++ [{merlon_dir:path([Dir, "crl.pem"]), [crl(Text) || Text <- Crls], 8#644} || Crls =/= []]
        ++ [{merlon_keyring:file(Dir), Text, 8#600} || Text <- Keyring]
        ++ [{merlon_config:file(Dir), merlon_cli_init:config(Cluster), 8#644}].

anchor(1) -> "ca.pem";
anchor(N) -> ["ca-", integer_to_list(N), ".pem"].

crl(<<16#30, _/binary>> = Der) -> ["-----BEGIN X509 CRL-----\n", base64:encode(Der), "\n-----END X509 CRL-----\n"];
crl(Pem) -> [Pem, $\n].

%% Judged as from any peer; what is no good here, by this clock for one, comes again over links.
taken({ok, Said}, Dir) -> [{wrote, merlon_roots_files:file(Dir, Said)}];
taken({error, {file, _} = Reason}, _Dir) -> throw({failed, Reason});
taken({error, _}, _Dir) -> [].

put_new(File, Work, Text, Mode) ->
    case merlon_dir:exists(File) of
        true -> {kept, File, same(merlon_dir:read(File), iolist_to_binary(Text))};
        false ->
            ok(merlon_dir_write:make(filename:dirname(File), 8#755)),
            ok(merlon_dir_write:put_file(File, Work, Text, Mode)),
            {wrote, File}
    end.

same({ok, Text}, Text) -> same;
same(_, _) -> differs.

ok(ok) -> ok;
ok({error, Reason}) -> throw({failed, Reason}).

value({ok, Value}) -> Value;
value({error, Reason}) -> throw({failed, Reason}).

-spec failed(iodata()) -> no_return().
failed(Text) -> throw({failed, {refused, Text}}).
