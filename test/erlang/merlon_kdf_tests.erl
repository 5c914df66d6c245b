%% SPDX-License-Identifier: Apache-2.0
-module(merlon_kdf_tests).
-include_lib("eunit/include/eunit.hrl").

-define(SALT, <<"0123456789abcdef">>).
-define(WEAK, #{danger_weak => true}).

%% ---- the same as OTP's crypto ----

random_inputs_give_what_otp_gives_test() ->
    [begin
         [Key, Data] = [crypto:strong_rand_bytes(rand:uniform(200)) || _ <- [1, 2]],
         ?assertEqual(crypto:mac(hmac, Hash, Key, Data), merlon_kdf:hmac(Hash, Key, Data)),
         ?assertEqual(crypto:mac(hmac, Hash, Key, Data),
                      merlon_kdf:hmac(Hash, merlon_kdf:secret(Key), [Data])),
         ?assertEqual(crypto:hash(Hash, Data), merlon_kdf:digest(Hash, Data))
     end || Hash <- [sha256, sha384, sha512], _ <- lists:seq(1, 100)].

big_data_give_what_otp_gives_test() ->
    Data = crypto:strong_rand_bytes(1 bsl 20),
    [begin
         ?assertEqual(crypto:mac(hmac, Hash, <<"k">>, Data), merlon_kdf:hmac(Hash, <<"k">>, Data)),
         ?assertEqual(crypto:hash(Hash, Data), merlon_kdf:digest(Hash, Data))
     end || Hash <- [sha256, sha384, sha512]].

pbkdf2_gives_what_otp_gives_test() ->
    [begin
         [Password, Salt] = [crypto:strong_rand_bytes(16 + rand:uniform(100)) || _ <- [1, 2]],
         [Iterations, Length] = [rand:uniform(2000), rand:uniform(200)],
         Params = #{algorithm => Algorithm, iterations => Iterations},
         ?assertEqual({ok, crypto:pbkdf2_hmac(Hash, Password, Salt, Iterations, Length)},
                      merlon_kdf:derive(Params, Password, Salt, Length, ?WEAK))
     end || {Algorithm, Hash} <- [{pbkdf2_sha256, sha256}, {pbkdf2_sha512, sha512}], _ <- lists:seq(1, 30)].

hkdf_is_what_the_rfc_says_in_hmacs_test() ->
    [begin
         [Ikm, Salt, Info] = [crypto:strong_rand_bytes(rand:uniform(100)) || _ <- [1, 2, 3]],
         Prk = crypto:mac(hmac, Hash, Salt, Ikm),
         Length = rand:uniform(300),
         Expected = binary:part(expand(Hash, Prk, Info, <<>>, 1, 10), 0, Length),
         ?assertEqual({ok, Prk}, merlon_kdf:hkdf_extract(Hash, Ikm, Salt, binary)),
         ?assertEqual({ok, Expected}, merlon_kdf:hkdf_expand(Hash, Prk, Info, Length)),
         ?assertEqual({ok, Expected}, merlon_kdf:hkdf(Hash, Ikm, Salt, [Info], {binary, Length}))
     end || Hash <- [sha256, sha384, sha512], _ <- lists:seq(1, 50)].

expand(_Hash, _Prk, _Info, _Last, N, Max) when N > Max -> <<>>;
expand(Hash, Prk, Info, Last, N, Max) ->
    Block = crypto:mac(hmac, Hash, Prk, [Last, Info, N]),
    <<Block/binary, (expand(Hash, Prk, Info, Block, N + 1, Max))/binary>>.

digests_as_text_test() ->
    ?assertEqual(<<"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad">>,
                 merlon_kdf:digest(sha256, "abc", hex)),
    ?assertEqual(<<"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=">>, merlon_kdf:digest(sha256, "abc", base64)),
    ?assertEqual(crypto:hash(sha256, "abc"), merlon_kdf:digest(sha256, "abc", raw)).

%% ---- secrets ----

a_secret_is_a_key_but_never_bytes_test() ->
    {ok, Plain} = merlon_kdf:hkdf(sha256, <<"ikm">>, <<"salt">>, <<"a">>, 32),
    {ok, Secret} = merlon_kdf:hkdf(sha256, merlon_kdf:secret("ikm"), <<"salt">>, <<"a">>, {secret, 32}),
    ?assert(is_reference(Secret)),
    ?assertEqual(nomatch, binary:match(term_to_binary(Secret), Plain)),
    ?assert(merlon_kdf:equal(Plain, Secret)),
    ?assertEqual(merlon_kdf:hmac(sha256, Plain, "x"), merlon_kdf:hmac(sha256, Secret, "x")),
    ?assertEqual(merlon_kdf:hkdf_expand(sha256, Plain, "b", 32), merlon_kdf:hkdf_expand(sha256, Secret, "b", 32)),
    Costs = #{algorithm => pbkdf2_sha256, iterations => 600000},
    ?assertEqual(merlon_kdf:derive(Costs, Plain, ?SALT, 32), merlon_kdf:derive(Costs, Secret, ?SALT, 32)),
    {ok, Prk} = merlon_kdf:hkdf_extract(sha256, "ikm", "salt", secret),
    ?assert(is_reference(Prk)),
    ?assertEqual({ok, Plain}, merlon_kdf:hkdf_expand(sha256, Prk, "a", 32)).

equal_is_for_equal_bytes_only_test() ->
    ?assert(merlon_kdf:equal("abc", <<"abc">>)),
    ?assert(merlon_kdf:equal("", <<>>)),
    [?assertNot(merlon_kdf:equal(<<"abc">>, Other)) || Other <- ["abd", "ab", "abcd", "", "Abc"]].

%% Wrong calls crash, and the crash goes into logs with its stack trace.
no_wrong_call_shows_a_key_test_() ->
    {P, Bad, Default} = {<<"ohnonotme">>, {binary, -1}, merlon_kdf:defaults()},
    [{atom_to_list(Name), fun() -> shows_nothing(Call) end}
     || {Name, Call} <- [{hkdf, fun() -> merlon_kdf:hkdf(sha256, P, P, "", Bad) end},
                         {hkdf_extract, fun() -> merlon_kdf:hkdf_extract(md5, P, P, binary) end},
                         {hkdf_expand, fun() -> merlon_kdf:hkdf_expand(sha256, P, "", Bad) end},
                         {derive, fun() -> merlon_kdf:derive(Default, P, ?SALT, Bad) end},
                         {derive_option, fun() -> merlon_kdf:derive(Default, P, ?SALT, 32, #{danger_weak => yes}) end},
                         {hmac, fun() -> merlon_kdf:hmac(md5, P, "x") end},
                         {digest, fun() -> merlon_kdf:digest(md5, P) end},
                         {equal, fun() -> merlon_kdf:equal(make_ref(), P) end},
                         {check, fun() -> merlon_kdf:check([P, 16#20AC], "x") end},
                         {verify, fun() -> merlon_kdf:verify([P, 16#20AC], undefined) end},
                         {hash, fun() -> merlon_kdf:hash([P, 16#20AC]) end},
                         {secret, fun() -> merlon_kdf:secret([P, 16#20AC]) end},
                         {big_secret, fun() -> merlon_kdf:secret([P, <<0:524288>>]) end}]].

shows_nothing(Call) ->
    try Call() of Result -> error({no_crash, Result})
    catch error:badarg:Stack ->
        ?assertEqual(nomatch, string:find(io_lib:format("~w~p", [Stack, Stack]), "ohnonotme"))
    end.

%% On dirty schedulers: a normal one that is held up holds up everybody.
big_keys_are_for_dirty_schedulers_test() ->
    Big = binary:copy(<<7>>, 1 bsl 20),
    ?assertEqual(crypto:mac(hmac, sha256, Big, "x"), merlon_kdf:hmac(sha256, Big, "x")),
    ?assert(merlon_kdf:equal(Big, binary:copy(<<7>>, 1 bsl 20))),
    ?assertNot(merlon_kdf:equal(Big, <<Big/binary, 0>>)),
    ?assertNot(merlon_kdf:equal(merlon_kdf:secret("x"), Big)).

%% By what the schedulers themselves have counted, so that other work on this machine makes no difference.
whatever_takes_long_is_done_on_dirty_schedulers_test_() ->
    Costs = #{algorithm => argon2id, memory => 65536, passes => 5},
    {ok, Phc} = merlon_kdf:hash("p", Costs),
    Big = binary:copy(<<7>>, 1 bsl 26),
    [{Name, {timeout, 60, fun() -> on_dirty_schedulers(Call) end}}
     || {Name, Call} <- [{"argon2id", fun() -> merlon_kdf:derive(Costs, "p", ?SALT, 32) end},
                         {"scrypt", fun() -> merlon_kdf:derive(#{algorithm => scrypt, log_n => 17}, "p", ?SALT, 32) end},
                         {"pbkdf2", fun() -> merlon_kdf:derive(#{algorithm => pbkdf2_sha512, iterations => 210000}, "p", ?SALT, 32) end},
                         {"hash", fun() -> merlon_kdf:hash("p", Costs) end},
                         {"verify", fun() -> merlon_kdf:verify("p", Phc) end},
                         {"hmac", fun() -> merlon_kdf:hmac(sha256, Big, Big) end},
                         {"digest", fun() -> merlon_kdf:digest(sha256, Big) end},
                         {"calibrate", fun() -> merlon_kdf:calibrate(#{milliseconds => 200, memory => 32768}) end}]].

on_dirty_schedulers(Call) ->
    Before = erlang:system_flag(scheduler_wall_time, true),
    {Micros, _, Dirty} = try busy_while(Call) after erlang:system_flag(scheduler_wall_time, Before) end,
    ?assert(Micros > 20000),
    ?assert(Dirty > Micros div 2).

busy_while(Call) ->
    Begin = dirty_micros(),
    {Micros, Result} = timer:tc(Call),
    {Micros, Result, dirty_micros() - Begin}.

%% After the normal schedulers come those for work that takes CPU.
dirty_micros() ->
    First = erlang:system_info(schedulers) + 1,
    Last = erlang:system_info(schedulers) + erlang:system_info(dirty_cpu_schedulers),
    Active = lists:sum([Busy || {Id, Busy, _} <- erlang:statistics(scheduler_wall_time_all), Id >= First, Id =< Last]),
    erlang:convert_time_unit(Active, native, microsecond).

%% ---- refusals ----

weak_or_impossible_parameters_are_refused_test() ->
    Derive = fun(Params, Salt, Length) -> merlon_kdf:derive(Params, "p", Salt, Length) end,
    Default = merlon_kdf:defaults(),
    ?assertEqual({error, {kdf, {weak, costs}}}, Derive(Default#{memory := 19455, passes := 2}, ?SALT, 32)),
    ?assertEqual({error, {kdf, {weak, salt}}}, Derive(Default, "short", 32)),
    ?assertEqual({error, {kdf, {weak, length}}}, Derive(Default, ?SALT, 15)),
    ?assertEqual({error, {kdf, {weak, costs}}}, merlon_kdf:hash("p", #{algorithm => scrypt, log_n => 14})),
    ?assertMatch({error, {kdf, {range, #{name := length}}}}, Derive(Default, ?SALT, 1025)),
    ?assertMatch({error, {kdf, {range, #{name := lanes}}}}, Derive(Default#{lanes => 65}, ?SALT, 32)),
    ?assertMatch({error, {kdf, {work, _}}}, Derive(Default#{passes := 1000000}, ?SALT, 32)),
    [?assertEqual({error, {kdf, bad_params}}, Derive(Params, ?SALT, 32))
     || Params <- [#{}, Default#{passes := 0}, Default#{passes := -1}, Default#{memory := 1 bsl 32},
                   Default#{lnaes => 1}, Default#{algorithm := argon2i}, #{algorithm => scrypt}, nothing]],
    ?assertMatch({error, {kdf, {too_long, _}}}, merlon_kdf:hkdf(sha256, "k", "", "", 255 * 32 + 1)),
    ?assertMatch({error, {kdf, {too_long, _}}}, merlon_kdf:hkdf(sha256, "k", "", "", 1 bsl 40)),
    ?assertMatch({error, {kdf, {short_key, _}}}, merlon_kdf:hkdf_expand(sha512, <<0:256>>, "", 32)).

more_memory_than_is_allowed_is_an_error_and_not_an_aborted_vm_test() ->
    Ceiling = merlon_kdf:ceiling(),
    Huge = (merlon_kdf:defaults())#{memory := Ceiling + 1, passes := 1},
    ?assertMatch({error, {kdf, {memory, #{ceiling := Ceiling}}}}, merlon_kdf:hash("p", Huge)),
    ?assertMatch({error, {kdf, {memory, _}}}, merlon_kdf:calibrate(#{milliseconds => 100, memory => Ceiling + 1})).

%% Each alone is within the ceiling. One that takes long holds its share while others ask for theirs, calibrations too.
many_calls_at_once_share_one_ceiling_test_() ->
    {timeout, 120, fun() ->
        ok = application:set_env(merlon, kdf_memory, 100000),
        try
            refused_meanwhile(erlang:system_info(dirty_cpu_schedulers_online) > 1),
            ?assertMatch({ok, _}, merlon_kdf:hash("p")),
            ?assertMatch({error, {kdf, {range, _}}}, merlon_kdf:derive(merlon_kdf:defaults(), "p", ?SALT, 1025)),
            ?assertMatch({ok, _}, merlon_kdf:hash("p"))
        after
            ok = application:unset_env(merlon, kdf_memory)
        end
    end}.

refused_meanwhile(false) -> ok;
refused_meanwhile(true) ->
    Long = (merlon_kdf:defaults())#{passes := 15},
    {Pid, Monitor} = spawn_monitor(fun() -> held(Long) end),
    ?assertMatch({error, {kdf, {busy, #{ceiling := 100000}}}}, until_busy(Pid)),
    receive {'DOWN', Monitor, process, Pid, Why} -> ?assertEqual(normal, Why) end.

%% It may itself be refused beside a short call of the test.
held(Params) ->
    case merlon_kdf:hash("p", Params) of
        {ok, _} -> ok;
        {error, {kdf, {busy, _}}} -> timer:sleep(1), held(Params)
    end.

%% 40 MiB do not fit beside 64.
until_busy(Pid) ->
    case merlon_kdf:hash("p", #{algorithm => argon2id, memory => 40960, passes => 2}) of
        {error, {kdf, {busy, _}}} = Busy -> Busy;
        {ok, _} -> case is_process_alive(Pid) of
                       true -> timer:sleep(20), until_busy(Pid);
                       false -> never_busy
                   end
    end.

%% It holds what it may take itself, of what all may.
calibration_goes_on_beside_other_calls_test_() ->
    {timeout, 120, fun() ->
        Long = (merlon_kdf:defaults())#{passes := 15},
        {Pid, Monitor} = spawn_monitor(fun() -> held(Long) end),
        beside(Pid),
        receive {'DOWN', Monitor, process, Pid, Why} -> ?assertEqual(normal, Why) end
    end}.

beside(Pid) ->
    ?assertMatch({error, {kdf, {budget, _}}}, merlon_kdf:calibrate(#{milliseconds => 1, memory => 32768})),
    is_process_alive(Pid) andalso beside(Pid).

%% The system refuses what the ceiling allows.
memory_that_the_system_refuses_is_an_error_test_() ->
    {timeout, 60, fun() ->
        Ebin = filename:dirname(code:which(merlon_kdf)),
        Command = "ulimit -v 6000000; erl +JPperf false -noshell -pa " ++ Ebin ++ " -eval '"
            "ok = application:set_env(merlon, kdf_memory, 16000000),"
            "R = [merlon_kdf:derive(P, \"p\", <<0:128>>, 32) || P <- ["
            "#{algorithm => argon2id, memory => 8000000, passes => 1}, #{algorithm => scrypt, log_n => 22, r => 16}]],"
            "io:format(\"~p.\", [R]), halt().'",
        {ok, Tokens, _} = erl_scan:string(os:cmd(Command)),
        ?assertMatch({ok, [{error, {kdf, {out_of_memory, _}}}, {error, {kdf, {out_of_memory, _}}}]},
                     erl_parse:parse_term(Tokens))
    end}.

how_much_memory_there_is_test() ->
    ?assertEqual([16384], merlon_kdf_memory:parse(meminfo, <<"MemTotal:   16384 kB\nMemFree: 1 kB\n">>)),
    ?assertEqual([512 * 1024], merlon_kdf_memory:parse(bytes, <<"536870912\n">>)),
    ?assertEqual([], merlon_kdf_memory:parse(bytes, <<"max\n">>)),
    ?assert(merlon_kdf:ceiling() > 0).

%% ---- passwords ----

a_hash_is_good_for_its_password_only_test() ->
    {ok, Phc} = merlon_kdf:hash("secret"),
    {ok, Other} = merlon_kdf:hash("secret"),
    ?assertMatch(<<"$argon2id$v=19$m=65536,t=3,p=1$", _/binary>>, Phc),
    ?assertNotEqual(Phc, Other),
    ?assert(merlon_kdf:verify(<<"secret">>, Phc)),
    ?assert(merlon_kdf:verify(merlon_kdf:secret("secret"), Phc)),
    ?assertNot(merlon_kdf:verify("Secret", Phc)),
    ?assertEqual({error, {kdf, wrong_password}}, merlon_kdf:check("Secret", Phc)),
    ?assertNot(merlon_kdf:verify("secret", undefined)),
    ?assertNot(merlon_kdf:needs_rehash(Phc)),
    ?assert(merlon_kdf:needs_rehash(Phc, (merlon_kdf:defaults())#{passes := 4})).

%% Made by the reference implementation of Argon2, by OpenSSL through Python, and as pbkdf2_elixir writes it.
hashes_of_others_are_verified_and_are_to_be_made_anew_test() ->
    [begin
         ?assertEqual(ok, merlon_kdf:check("password", Phc)),
         ?assertEqual({error, {kdf, wrong_password}}, merlon_kdf:check("Password", Phc)),
         ?assert(merlon_kdf:needs_rehash(Phc))
     end || Phc <-
     ["$argon2d$v=19$m=256,t=2,p=2$c29tZXNhbHQ$CbyPbUWfovcinxDjdz7tL7DPvNw689/k",
      "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$PoyrYmvWDvVeM2Ra/Fbjhequh4DaM1GW",
      "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$5cmjPIOJnS9cibudqE+DN3oCkFOfh2Mv",
      "$argon2id$v=16$m=64,t=2,p=1$c29tZXNhbHQ$4nDCgqqi/MYvPUrUq8ZfVUrFto43iXYW7ryycatUzoI",
      "$scrypt$ln=10,r=8,p=2$MDEyMzQ1Njc4OWFiY2RlZg$bEaCAiyRYDARuNXGlQE7Plyz+/JVlfoIQ0KBQ3KtPwI",
      "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$hRRjgXWkW8ResfIvBP99J/T4vkgEmMRV/0tJTOjR59I",
      "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$"
      "38DzhdBT7fPaUGBlsh42VTuuKSFAIYGZJ7l6feCDLIl.K3hdPFgxxu7xuUi4gIuH6cEIoODn18xH9Ig2ryNgUw"]].

hostile_phc_strings_are_refused_at_once_test() ->
    Tail = "$c29tZXNhbHQ$5cmjPIOJnS9cibudqE+DN3oCkFOfh2Mv",
    {Micros, _} = timer:tc(fun() ->
        [begin
             ?assertMatch({error, {kdf, {_, _}}}, merlon_kdf:check("p", Costs ++ Tail)),
             ?assertNot(merlon_kdf:verify("p", Costs ++ Tail))
         end || Costs <- ["$argon2id$v=19$m=4294967295,t=1,p=1", "$argon2id$v=19$m=65536,t=4294967295,p=1",
                          "$argon2id$v=19$m=65536,t=1,p=4294967295", "$scrypt$ln=31,r=64,p=64",
                          "$pbkdf2-sha512$i=4294967295"]]
    end),
    ?assert(Micros < 10000000), % each would take minutes
    [?assertMatch({error, {kdf, Reason}} when Reason =:= not_phc; Reason =:= unknown_phc, merlon_kdf:check("p", Text))
     || Text <- ["", "p", "$2b$12$abc", <<255>>, lists:duplicate(100000, $$)]].

%% ---- calibration ----

calibrated_costs_take_about_the_time_that_was_given_test_() ->
    [{atom_to_list(A), {timeout, 120, fun() -> takes_about(500, A, 5) end}}
     || A <- [argon2id, scrypt, pbkdf2_sha256, pbkdf2_sha512]].

%% Other work on this machine may come between, in either measurement.
takes_about(Milliseconds, A, Tries) ->
    case time_of(merlon_kdf:calibrate(#{algorithm => A, milliseconds => Milliseconds, memory => 65536}), A) of
        Micros when Micros > Milliseconds * 200, Micros < Milliseconds * 4000 -> ok;
        Other when Tries =:= 1 -> error({Milliseconds, Other});
        _ -> takes_about(Milliseconds, A, Tries - 1)
    end.

time_of({ok, #{algorithm := A} = Params}, A) ->
    {Micros, {ok, _}} = timer:tc(fun() -> merlon_kdf:derive(Params, "p", ?SALT, 32) end),
    Micros;
time_of({error, {kdf, {budget, _}}} = Slow, _) -> Slow.

goals_that_are_impossible_test() ->
    ?assertMatch({error, {kdf, {budget, #{milliseconds := N}}}} when N > 1, merlon_kdf:calibrate(#{milliseconds => 1})),
    ?assertEqual({error, {kdf, bad_params}}, merlon_kdf:calibrate(#{milliseconds => 0})),
    ?assertEqual({error, {kdf, bad_params}}, merlon_kdf:calibrate(#{})).

every_error_has_a_sentence_test() ->
    Map = #{length => 1, min => 1, max => 2, name => lanes, work => 3, needed => 4, ceiling => 5, milliseconds => 6},
    [?assertMatch([_ | _], unicode:characters_to_list(merlon:format_error({kdf, Reason})))
     || Reason <- [bad_params, not_phc, unknown_phc, verify_only, wrong_password, no_randomness, {weak, costs},
                   {weak, salt}, {weak, length} | [{Code, Map} || Code <- [too_long, short_key, range, work, memory,
                                                                          busy, out_of_memory, budget]]]].
