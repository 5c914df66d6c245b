%% SPDX-License-Identifier: Apache-2.0
%% Looks for secrets in what a node shows: the patterns of a secret in every form in which one
%% could be written, the search, and, on the node, the collection of all that is shown.
-module(merlon_secrecy).

-export([keyring_secrets/3, passphrase_secrets/3, key_secrets/1]).
-export([patterns/1, in_binary/2, in_file/2, in_core/2]).
-export([shown/0, trace/1, untrace/0, crash_link/0]).

-define(CHUNK, 1 bsl 24).

%% ---- what is derived, reckoned anew with OTP's crypto from the words of native/secret ----

%% Of an entry of 32 random bytes: {Name, Secret}, and the cookie of the pair, which is no secret to the node.
keyring_secrets(Secret, Cluster, Pair) ->
    derived(hmac(<<"merlon/1 keyring">>, Secret), Cluster, Pair, [{secret, Secret}]).

%% Of a passphrase; Argon2id alone is merlon's own.
passphrase_secrets({Words, {argon2id, KiB, Passes, Lanes}}, Cluster, Pair) ->
    Salt = hmac(<<"merlon/1 passphrase salt">>, Cluster),
    {ok, Stretched} = merlon_kdf:derive(#{algorithm => argon2id, memory => KiB, passes => Passes, lanes => Lanes},
                                        Words, Salt, 32),
    derived(hmac(<<"merlon/1 passphrase">>, Stretched), Cluster, Pair,
            [{passphrase, Words}, {stretched, Stretched}]).

derived(Prk, Cluster, {A, B}, More) ->
    Root = expand(Prk, ["merlon/1 root", sized(Cluster)]),
    Names = [sized(Name) || Name <- lists:sort([A, B])],
    Seed = expand(Root, "merlon/1 ca seed ed25519"),
    <<Id:8/binary, _/binary>> = expand(Prk, "merlon/1 key id"),
    <<_:32/binary, Prefix:32/binary>> = crypto:hash(sha512, Seed),
    Cookie = base32(expand(Root, ["merlon/1 cookie" | Names])),
    #{id => string:lowercase(binary:encode_hex(Id)), cookie => Cookie,
      ca => element(1, crypto:generate_key(eddsa, ed25519, Seed)),
      secrets => [{prk, Prk}, {root, Root}, {pair, expand(Root, ["merlon/1 pair" | Names])}, {ca_seed, Seed},
                  {ca_prefix, Prefix} | More]}.

%% The private key of a PEM file: its scalar, its DER, its text.
key_secrets(Pem) ->
    [Entry = {_, Der, _}] = public_key:pem_decode(Pem),
    [_, Line | _] = binary:split(Pem, <<"\n">>, [global]),
    [{scalar, element(3, public_key:pem_entry_decode(Entry))}, {der, Der}, {text, Line}].

hmac(Key, Data) -> crypto:mac(hmac, sha256, Key, Data).
expand(Prk, Info) -> hmac(Prk, [Info, 1]).
sized(Bytes) -> [<<(byte_size(Bytes)):64>>, Bytes].

%% RFC 4648, 6, of 240 bits.
base32(<<Bytes:30/binary, _/binary>>) ->
    << <<(lists:nth(Digit + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))>> || <<Digit:5>> <= Bytes >>.

%% ---- the search ----

%% {Name, Form} of each pattern. 24 bytes of a secret are a secret.
patterns(Secrets) ->
    maps:from_list([{Pattern, {Name, Form}} || {Name, Secret} <- Secrets, {Form, Pattern} <- forms(Secret)]).

forms(Secret) ->
    Hex = binary:encode_hex(Secret),
    [{raw, Secret}, {hex, Hex}, {hex, string:lowercase(Hex)}, {decimal, decimal(Secret)},
     {decimal, binary:replace(decimal(Secret), <<",">>, <<", ">>, [global])}]
        ++ [{Form, Text} || Skip <- [0, 1, 2], Base64 <- [base64(Secret, Skip)],
                            {Form, Text} <- [{base64url, url(Base64)}, {base64, Base64}]].

%% As io:format shows a binary.
decimal(Secret) -> iolist_to_binary(lists:join($,, [integer_to_binary(Byte) || <<Byte>> <= Secret])).

%% Wherever in a longer binary it stands.
base64(Secret, Skip) ->
    <<_:Skip/binary, Rest/binary>> = Secret,
    base64:encode(binary_part(Rest, 0, byte_size(Rest) div 3 * 3)).

url(Text) -> binary:replace(binary:replace(Text, <<"+">>, <<"-">>, [global]), <<"/">>, <<"_">>, [global]).

%% The {Name, Form} that are in it.
in_binary(Text, Patterns) ->
    Found = binary:matches(Text, binary:compile_pattern(maps:keys(Patterns))),
    lists:usort([maps:get(binary:part(Text, Part), Patterns) || Part <- Found]).

in_file(File, Patterns) ->
    {ok, Handle} = file:open(File, [read, raw, binary]),
    try in_chunks(Handle, 0, binary:compile_pattern(maps:keys(Patterns)), Patterns, [])
    after file:close(Handle)
    end.

%% Chunks overlap by more than any pattern has.
in_chunks(Handle, At, Compiled, Patterns, Found) ->
    case file:pread(Handle, At, ?CHUNK + 16384) of
        {ok, Chunk} ->
            More = [maps:get(binary:part(Chunk, Part), Patterns) || Part <- binary:matches(Chunk, Compiled)],
            in_chunks(Handle, At + ?CHUNK, Compiled, Patterns, lists:usort(More ++ Found));
        eof -> Found
    end.

%% What is in the memory that a core file has, and what in its notes: the threads' registers.
in_core(File, Patterns) ->
    {ok, Core} = file:read_file(File),
    {At, Size} = notes(Core),
    <<Before:At/binary, Notes:Size/binary, After/binary>> = Core,
    {lists:usort(in_binary(Before, Patterns) ++ in_binary(After, Patterns)), in_binary(Notes, Patterns)}.

%% ELF of 64 bits, little-endian: offset and size of the segment of type PT_NOTE.
notes(<<127, "ELF", 2, 1, _:26/binary, Headers:64/little, _:14/binary, Size:16/little, Count:16/little, _/binary>> = Core) ->
    Table = binary:part(Core, Headers, Size * Count),
    [Notes | _] = [{At, Bytes} || <<4:32/little, _:4/binary, At:64/little, _:16/binary, Bytes:64/little,
                                    _:(Size - 40)/binary>> <- rows(Table, Size)],
    Notes.

rows(Table, Size) -> [binary:part(Table, At, Size) || At <- lists:seq(0, byte_size(Table) - Size, Size)].

%% ---- on the node ----

%% What anyone with a shell there sees of processes, tables and persistent terms, as terms and as text.
shown() ->
    Items = [registered_name, messages, dictionary, backtrace, current_stacktrace, binary, initial_call,
             garbage_collection_info, status, suspending, monitors, links],
    Processes = [[catch process_info(Pid, Item) || Item <- Items] || Pid <- processes()],
    States = [catch {sys:get_state(Pid, 1000), sys:get_status(Pid, 1000)} || Pid <- [auth, net_kernel | below(kernel_sup)]],
    Tables = [catch ets:tab2list(Table) || Table <- ets:all()],
    All = {Processes, States, Tables, persistent_term:get(), init:get_arguments(), os:getenv(),
           catch application:get_all_env(merlon), catch merlon:connections(), catch merlon_keyring:entries(),
           [Module:module_info(attributes) || {Module, _} <- code:all_loaded()]},
    [term_to_binary(All), unicode:characters_to_binary(io_lib:format("~p", [All]))].

below(Supervisor) ->
    [Supervisor | lists:append([case Type of
                                    supervisor when is_pid(Pid) -> below(Pid);
                                    _ when is_pid(Pid) -> [Pid];
                                    _ -> []
                                end || {_, Pid, Type, _} <- supervisor:which_children(Supervisor)])].

%% All calls, arguments and results of merlon's modules, all messages of all processes.
trace(File) ->
    {ok, _} = dbg:tracer(port, dbg:trace_port(file, File)),
    {ok, _} = dbg:p(all, [call, m, p]),
    Beams = filelib:wildcard(filename:join(filename:dirname(code:which(merlon)), "merlon*.beam")),
    _ = [{ok, _} = dbg:tpl(list_to_atom(filename:basename(Beam, ".beam")), '_', '_', x) || Beam <- Beams],
    length(Beams).

untrace() ->
    ok = dbg:flush_trace_port(),
    _ = dbg:stop(),
    ok.

crash_link() ->
    [{Pid, _, _} | _] = merlon_registry:links(),
    exit(Pid, planted_reason).
