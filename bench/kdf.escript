#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%%! -noinput +sbwt none +sbwtdcpu none +sbwtdio none -pa _build/default/lib/merlon/ebin
%% What merlon_kdf takes, beside crypto:pbkdf2_hmac/5 and the reference implementation of Argon2 (the program argon2 of
%% Debian's package), and Python's hashlib.scrypt (OpenSSL): milliseconds of CPU, kernel included, of all threads. Best of
%% ROUNDS, in turn. Idle schedulers do not spin here, so that what the VM uses is what the call uses.
%%
%%   bench/kdf.escript [ROUNDS]     from the project's folder, after `make build`; exit code 1 if one is over 1.1

-define(SALT, <<"0123456789abcdef">>).
-define(MOST, 1.1).

main(Args) ->
    Rounds = case Args of [] -> 9; [N] -> list_to_integer(N) end,
    Rows = lists:append([pbkdf2(Rounds), argon2(Rounds), scrypt(Rounds)]),
    io:format("~-42s ~10s ~10s ~7s~n", ["", "other ms", "merlon ms", "ratio"]),
    Ratios = [row(Row) || Row <- Rows],
    halt(case lists:all(fun(Ratio) -> Ratio =< ?MOST end, Ratios) of true -> 0; false -> 1 end).

pbkdf2(Rounds) ->
    [{["crypto:pbkdf2_hmac ", atom_to_list(Hash), " ", integer_to_list(I), " iterations"],
      in_turn(Rounds,
              fun() -> timed(fun() -> crypto:pbkdf2_hmac(Hash, <<"password">>, ?SALT, I, 32) end) end,
              fun() -> merlon(#{algorithm => Algorithm, iterations => I}) end)}
     || {Hash, Algorithm, I} <- [{sha256, pbkdf2_sha256, 600000}, {sha512, pbkdf2_sha512, 210000}]].

argon2(Rounds) ->
    Costs = [{19456, 2, 1}, {65536, 3, 1}, {65536, 3, 4}, {262144, 3, 1}],
    [{io_lib:format("argon2 -id -k ~b -t ~b -p ~b", [M, T, P]),
      in_turn(Rounds, fun() -> reference(M, T, P) end,
              fun() -> merlon(#{algorithm => argon2id, memory => M, passes => T, lanes => P}) end)}
     || os:find_executable("argon2") =/= false, {M, T, P} <- Costs].

%% It says what CPU it has used.
reference(M, T, P) ->
    Said = os:cmd(io_lib:format("printf password | argon2 0123456789abcdef -id -k ~b -t ~b -p ~b -l 32", [M, T, P])),
    {match, [Seconds]} = re:run(Said, "([0-9.]+) seconds", [{capture, all_but_first, list}]),
    list_to_float(Seconds) * 1000.

scrypt(Rounds) ->
    Python = "import hashlib,time; t=time.process_time(); hashlib.scrypt(b\"password\",salt=b\"0123456789abcdef\","
        "n=131072,r=8,p=1,dklen=32,maxmem=1<<28); print(\"%f\" % ((time.process_time()-t)*1000))",
    [{"python3 hashlib.scrypt N=2^17 r=8 p=1",
      in_turn(Rounds, fun() -> list_to_float(string:trim(os:cmd("python3 -c '" ++ Python ++ "'"))) end,
              fun() -> merlon(#{algorithm => scrypt, log_n => 17}) end)}
     || os:find_executable("python3") =/= false].

merlon(Params) ->
    timed(fun() -> {ok, _} = merlon_kdf:derive(Params, <<"password">>, ?SALT, 32) end).

timed(Fun) ->
    Before = cpu(),
    _ = Fun(),
    (cpu() - Before) / 1.0e6.

%% Nanoseconds of CPU that the VM's threads have had (statistics(runtime) leaves out the kernel's part).
cpu() ->
    lists:sum([begin
                   {ok, Text} = file:read_file(File),
                   {Nanoseconds, _} = string:to_integer(Text),
                   Nanoseconds
               end || File <- filelib:wildcard("/proc/self/task/*/schedstat")]).

in_turn(Rounds, Other, Merlon) ->
    {Others, Merlons} = lists:unzip([{Other(), Merlon()} || _ <- lists:seq(1, Rounds)]),
    {lists:min(Others), lists:min(Merlons)}.

row({What, {Other, Merlon}}) ->
    io:format("~-42s ~10.1f ~10.1f ~7.2f~n", [lists:flatten(What), Other, Merlon, Merlon / Other]),
    Merlon / Other.
