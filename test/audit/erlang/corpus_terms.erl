%% SPDX-License-Identifier: Apache-2.0
%% Corpus of the audit: what `%!` says at a line's end is what must be found there, and nothing else.
-module(corpus_terms).
-export([unsafe_term/1, unsafe_term_near/1, unsafe_term_tricky/2, recv/1, handle_info/2, literal/0, configured/0,
         executable_term/1, executable_term_near/1, executable_term_tricky/1, zip_bomb/1, zip_bomb_near/1,
         zip_bomb_tricky/2, term_store/1, term_store_near/0, term_store_tricky/1, consult/1, consult_near/0,
         consult_tricky/1, xml_atoms/1, xml_atoms_near/1, xml_atoms_tricky/1, xml_entities/1, xml_entities_near/1,
         xml_entities_tricky/1, match_spec/2, match_spec_near/2, match_spec_tricky/2, public_secret/0,
         public_secret_near/0, public_secret_tricky/0, helper/0, file/1, message/0, assembled/1, built/1]).
-define(DECODE(X), erlang:binary_to_term(X)).

unsafe_term(Bin) -> erlang:binary_to_term(Bin). %! unsafe_term high

%% The name alone is no call of it.
unsafe_term_near(Bin) ->
    F = binary_to_term,
    {F, "binary_to_term(Bin)", byte_size(Bin), erlang:term_to_binary(Bin)}.

unsafe_term_tricky(Bin, Bins) ->
    A = binary_to_term(Bin), %! unsafe_term high
    B = apply(erlang, binary_to_term, [Bin]), %! unsafe_term high
    M = erlang,
    C = M:binary_to_term(Bin), %! unsafe_term high
    D = lists:map(fun erlang:binary_to_term/1, Bins), %! unsafe_term high
    E = ?DECODE(Bin), %! unsafe_term high
    G = binary_to_term(Bin, [used]), %! unsafe_term high
    {A, B, C, D, E, G}.

recv(Socket) ->
    {ok, Data} = gen_tcp:recv(Socket, 0),
    inner(Data).

%% Only this module calls it, with what came from the socket.
inner(Data) -> binary_to_term(Data). %! unsafe_term critical

handle_info({tcp, _Socket, Data}, State) ->
    {noreply, {binary_to_term(Data), State}}; %! unsafe_term critical
handle_info(_, State) -> {noreply, State}.

literal() -> binary_to_term(<<131, 106>>). %! unsafe_term note

configured() ->
    {ok, Bin} = application:get_env(corpus, blob),
    binary_to_term(Bin). %! unsafe_term medium

%% Called with a literal only.
helper() -> only_literal(<<131, 106>>).

only_literal(Bin) -> binary_to_term(Bin). %! unsafe_term note

file(Name) ->
    case file:read_file(Name) of
        {ok, Bin} -> binary_to_term(Bin); %! unsafe_term high
        Error -> Error
    end.

message() ->
    receive
        {udp, _, _, _, Packet} -> binary_to_term(Packet) %! unsafe_term critical
    end.

executable_term(Bin) -> binary_to_term(Bin, [safe]). %! executable_term low

executable_term_near(Bin) -> merlon_term:decode(Bin).

executable_term_tricky(Bin) ->
    Options = [used, safe],
    binary_to_term(Bin, Options). %! executable_term low

zip_bomb(Bin) -> zlib:gunzip(Bin). %! zip_bomb medium

zip_bomb_near(Bin) ->
    Z = zlib:open(),
    {zlib:safeInflate(Z, Bin), zlib:gzip(Bin)}.

zip_bomb_tricky(Socket, Z) ->
    {ok, Packet} = ssl:recv(Socket, 0),
    F = fun zlib:inflate/2, %! zip_bomb note
    {F, zlib:inflate(Z, Packet)}. %! zip_bomb high

term_store(File) -> ets:file2tab(File). %! term_store medium

term_store_near() -> ets:tab2file(corpus, "corpus.tab").

term_store_tricky(Backup) -> apply(mnesia, restore, [Backup, []]). %! term_store medium

consult(Path) -> file:consult(Path). %! consult medium

consult_near() -> file:consult(filename:join(code:priv_dir(corpus), "words.config")). %! consult note

consult_tricky(Path) ->
    Read = fun file:consult/1,
    Read("/srv/" ++ Path). %! consult medium

xml_atoms(Xml) -> xmerl_scan:string(Xml). %! xml_atoms medium

xml_atoms_near(Xml) -> xmerl:export_simple(Xml, xmerl_xml).

xml_atoms_tricky(Socket) ->
    {ok, Xml} = gen_tcp:recv(Socket, 0),
    spawn(xmerl_scan, string, [binary_to_list(Xml)]). %! xml_atoms high

xml_entities(Xml) -> xmerl_sax_parser:stream(Xml, []). %! xml_entities medium

xml_entities_near(Xml) -> xmerl_sax_parser:stream(Xml, [disallow_entities]).

xml_entities_tricky(Xml) ->
    Options = [{event_fun, fun(_, _, S) -> S end}],
    xmerl_sax_parser:stream(Xml, Options ++ [{event_state, []}]). %! xml_entities medium

match_spec(Socket, Table) ->
    {ok, Key} = gen_tcp:recv(Socket, 0),
    ets:match(Table, {binary_to_term(Key, [safe]), '$1'}). %! match_spec medium, executable_term medium

match_spec_near(Table, Key) -> {ets:lookup(Table, Key), ets:match(Table, {Key, '$1'})}.

match_spec_tricky(Socket, Table) ->
    {ok, Key} = ssl:recv(Socket, 0),
    Pattern = {Key, '_'},
    ets:match_delete(Table, Pattern). %! match_spec medium

public_secret() -> ets:new(auth_tokens, [public, named_table]). %! public_secret medium

public_secret_near() -> {ets:new(auth_tokens, [named_table]), ets:new(counters, [public])}.

public_secret_tricky() ->
    Options = [set, public],
    Name = session_cache,
    ets:new(Name, Options). %! public_secret medium

%% The code says that it is a pid; that of a tuple has anything in it.
assembled(Rest) -> binary_to_term(<<131, 88, Rest/binary>>). %! unsafe_term medium

built(Rest) -> binary_to_term(<<131, 104, 2, Rest/binary>>). %! unsafe_term high
