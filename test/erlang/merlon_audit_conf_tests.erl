%% The audit of configuration and artefacts: the corpus in test/audit/conf, a case to a folder, and what can't lie in a
%% repository (modes, certificates).
-module(merlon_audit_conf_tests).
-include_lib("eunit/include/eunit.hrl").
-export([rules/0]).

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).
-define(CORPUS, "test/audit/conf").
-define(FINE, "q7Vd0ZtX3mBfL9wKc2RjYh5NsPgU8aEoTi4xMzWv6rC1").
-define(NOW, 1795780800). % 2026-11-27

%% ---- the corpus ----

each_case_gives_what_its_files_say_test_() ->
    [{Case, {timeout, 30, fun() ->
         ?in_dir(Dir, begin
             copy(filename:join(?CORPUS, Case), Dir ++ "/" ++ Case),
             #{findings := Found, unscanned := []} = scan(Dir ++ "/" ++ Case),
             Is = lists:usort([{unicode:characters_to_list(File), Line, Rule, Severity}
                               || #{file := File, line := Line, rule := Rule, severity := Severity} <- Found]),
             Expected = expected(Dir ++ "/" ++ Case),
             ?assertEqual({[], []}, {Expected -- Is, Is -- Expected}), % missed, false alarms
             ?assertEqual([], [Near || {File, Line, Rule} = Near <- near(Dir ++ "/" ++ Case),
                                       {F, L, R, _} <- Is, {F, L, R} =:= {File, Line, Rule}])
         end)
     end}} || Case <- cases()].

%% All rules that the corpus or a test below has a case of.
rules() ->
    lists:usort([Rule || Case <- cases(), {_, _, Rule, _} <- expected(filename:join(?CORPUS, Case))])
        ++ [key_mode, cert_expired, cert_expiring, cert_cn_only, cert_name].

%% Each rule about configuration and artefacts has something that comes near it: a line that `#~` is about, or a test below.
every_rule_about_configuration_has_a_near_miss_test_() ->
    Near = lists:append([near(filename:join(?CORPUS, Case)) || Case <- cases()]),
    [{atom_to_list(Id), fun() -> ?assert(lists:keymember(Id, 3, Near) orelse is_tested(Id)) end}
     || #{id := Id} <- merlon_audit_rules_conf:rows() ++ merlon_audit_rules_artefact:rows()].

%% What has no place for a comment, or what a repository does not keep.
is_tested(Id) ->
    {_, Test} = lists:keyfind(Id, 1, [{release_cookie, a_cookie_of_mode_0400_is_fine_test}, {cookie_mode, a_cookie_of_mode_0400_is_fine_test},
                                      {key_mode, certificates_are_judged_test}, {cert_expired, certificates_are_judged_test},
                                      {cert_expiring, certificates_are_judged_test}, {cert_cn_only, certificates_are_judged_test},
                                      {cert_name, a_certificate_for_another_host_is_found_test}]),
    erlang:function_exported(?MODULE, Test, 0).

%% The files that the issue names, one by one, and what else is read: each is in the corpus with something found in it.
every_kind_of_file_has_a_finding_in_the_corpus_test_() ->
    Found = lists:usort([Case ++ "/" ++ File || Case <- cases(), {File, _, _, _} <- expected(filename:join(?CORPUS, Case))]),
    [{Pattern, fun() -> ?assertNotEqual([], [File || File <- Found, re:run(File, Pattern, [{capture, none}]) =:= match]) end}
     || Pattern <- ["/vm\\.args$", "/vm\\.args\\.eex$", "/remote\\.vm\\.args$", "/env\\.sh$", "/env\\.sh\\.eex$", "/\\.env$",
                    "/sys\\.config(\\.src)?$", "/config/[a-z]+\\.exs$", "/ssl_dist.*\\.conf$", "inetrc$", "/rebar\\.config$", "/mix\\.exs$",
                    "/releases/COOKIE$", "/start_erl\\.data$", "/OTP_VERSION$", "/\\.tool-versions$", "/erl_crash\\.dump$",
                    "/Dockerfile$", "/docker-compose\\.yml$", "/deployment\\.yaml$", "/secret\\.yaml$", "/fly\\.toml$", "\\.service$",
                    "\\.socket$", "/bin/[a-z]+$", "\\.sh$"]].

cases() ->
    {ok, Names} = file:list_dir(?CORPUS),
    lists:sort(Names).

%% `#! RULE SEVERITY, ...` alone on a line is about the next line that is none of these; EXPECTED has lines FILE:LINE RULE
%% SEVERITY. `#~ RULE, ...` is the same for what comes near a rule and must not be found.
expected(Case) ->
    lists:usort(lists:append([expected(Case, File) || File <- files(Case)])).

files(Folder) ->
    {ok, Names} = file:list_dir(Folder),
    lists:append([case filelib:is_dir(filename:join(Folder, Name)) of
                      true -> [filename:join(Name, File) || File <- files(filename:join(Folder, Name))];
                      false -> [Name]
                  end || Name <- Names]).

expected(Case, File) ->
    {ok, Text} = file:read_file(filename:join(Case, File)),
    Lines = binary:split(Text, <<"\n">>, [global]),
    case filename:basename(File) of
        "EXPECTED" ->
            Folder = filename:dirname(File),
            [{plain(filename:join(Folder, binary_to_list(Name))), binary_to_integer(Line), binary_to_atom(Rule), binary_to_atom(Severity)}
             || Entry <- Lines, Entry =/= <<>>, [Place, Rule, Severity] <- [binary:split(Entry, <<" ">>, [global])],
                [Name, Line] <- [binary:split(Place, <<":">>)]];
        _ -> marked(File, lists:zip(lists:seq(1, length(Lines)), Lines))
    end.

plain("./" ++ Name) -> Name;
plain(Name) -> Name.

marked(File, Lines) ->
    [{File, Next, binary_to_atom(Rule), binary_to_atom(Severity)}
     || {Next, Marks} <- marks("!", Lines), Mark <- Marks, [Rule, Severity] <- [binary:split(Mark, <<" ">>)]].

near(Case) ->
    lists:append([begin
                      {ok, Text} = file:read_file(filename:join(Case, File)),
                      Lines = binary:split(Text, <<"\n">>, [global]),
                      [{File, Next, binary_to_atom(Rule)}
                       || {Next, Rules} <- marks("~", lists:zip(lists:seq(1, length(Lines)), Lines)), Rule <- Rules]
                  end || File <- files(Case)]).

%% With the number of the line that they are about.
marks(Sign, [{_, Line} | Lines]) ->
    case re:run(Line, ["^\\s*[%#]", Sign, " ([a-z_, ]+)$"], [{capture, [1], binary}]) of
        {match, [Marks]} -> [{about(Lines), binary:split(Marks, <<", ">>, [global])} | marks(Sign, Lines)];
        nomatch -> marks(Sign, Lines)
    end;
marks(_, []) -> [].

about([{N, Line} | Lines]) ->
    case re:run(Line, "^\\s*[%#][!~] ", [{capture, none}]) of
        match -> about(Lines);
        nomatch -> N
    end.

copy(From, To) ->
    ok = filelib:ensure_path(To),
    {ok, Names} = file:list_dir(From),
    [case filelib:is_dir(filename:join(From, Name)) of
         true -> copy(filename:join(From, Name), filename:join(To, Name));
         false ->
             {ok, _} = file:copy(filename:join(From, Name), filename:join(To, Name)),
             ok = file:change_mode(filename:join(To, Name), 8#644)
     end || Name <- Names],
    ok.

scan(Dir) -> scan(Dir, #{}).
scan(Dir, Options) ->
    {ok, Report} = merlon_audit:scan([Dir], Options#{now => ?NOW}),
    Report.

put_file(Dir, Name, Text) ->
    Path = filename:join(Dir, Name),
    ok = filelib:ensure_dir(Path),
    ok = file:write_file(Path, Text),
    Path.

found(#{findings := Findings}) ->
    [{Rule, unicode:characters_to_list(File), Line} || #{rule := Rule, file := File, line := Line} <- Findings].

%% ---- cookies stay where they are ----

%% One in each kind of file; no report, in no format, has any of it.
a_cookie_is_in_no_report_test_() ->
    {timeout, 60, fun() ->
        ?in_dir(Dir, begin
            Files = planted(),
            [put_file(Dir ++ "/tree", Name, Text) || {Name, Text} <- Files],
            Base = Dir ++ "/base",
            Outs = [begin
                        {1, Out, <<>>} = merlon_cli:run(["audit", Dir ++ "/tree", "--notes", "--format", Format]),
                        Out
                    end || Format <- ["text", "json", "sarif", "html"]],
            {0, _, <<>>} = merlon_cli:run(["audit", Dir ++ "/tree", "--write-baseline", Base]),
            {ok, Baseline} = file:read_file(Base),
            {1, _, <<>>} = merlon_cli:run(["audit", Dir ++ "/tree", "--format", "html", "--output", Dir ++ "/out.html"]),
            {ok, Written} = file:read_file(Dir ++ "/out.html"),
            [?assertEqual(nomatch, binary:match(iolist_to_binary(Out), [<<"DJQWUOCYZCI">>, <<"RElRV1VPQ1la">>]))
             || Out <- [Baseline, Written | Outs]],
            %% It was found in each.
            #{findings := Findings} = scan(Dir ++ "/tree"),
            Weak = lists:usort([unicode:characters_to_list(File) || #{rule := cookie_weak, file := File} <- Findings]),
            ?assertEqual([], lists:sort([Name || {Name, _} <- Files]) -- Weak)
        end)
    end}.

planted() ->
    Cookie = "DJQWUOCYZCIZNETCXWES", % OTP made it
    [{"a/vm.args", ["-name a@b.example.com -setcookie ", Cookie, " -mode interactive\n"]},
     {"b/vm.args.eex", ["-setcookie\n", Cookie, " -mode interactive\n-name a@b.example.com\n"]},
     {"c/env.sh", ["export ERL_AFLAGS=\"-name a@b.c -setcookie ", Cookie, "\" RELEASE_COOKIE=", Cookie, "\n",
                   "export RELEASE_COOKIE=", Cookie, "; export ERL_CRASH_DUMP=/tmp/", "\n"]},
     {"d/Dockerfile", ["FROM x\nENV ERL_EPMD_ADDRESS=0.0.0.0 RELEASE_COOKIE=", Cookie, "\nRUN echo ", Cookie, " > /.erlang.cookie\n"]},
     {"e/compose.yaml", ["services:\n  a:\n    environment: \n      RELEASE_COOKIE: ", Cookie, "\n"]},
     {"f/d.yml", ["apiVersion: v1\nspec:\n  env:\n  - {name: ERLANG_COOKIE, value: ", Cookie, "}\n",
                  "  - name: ERLANG_COOKIE\n    value: \"", Cookie, "\"\n"]},
     {"f2/s.yml", ["apiVersion: v1\nkind: Secret\ndata:\n  NODE_COOKIE: ", base64:encode(Cookie), "\n"]},
     {"g/fly.toml", ["[env]\nRELEASE_COOKIE = '", Cookie, "'\n"]},
     {"h/a.service", ["[Service]\nExecStart=/usr/bin/erl -name a@b.c -setcookie ", Cookie, "\n"]},
     {"i/rebar.config", ["{dist_node, [{setcookie, '", Cookie, "'}]}.\n"]},
     {"j/mix.exs", ["[releases: [a: [cookie: \"", Cookie, "\"]]]\n"]},
     {"k/releases/COOKIE", Cookie},
     {"l/.erlang.cookie", [Cookie, "\n"]}].

time_to_crack_is_said_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "vm.args", "-setcookie DJQWUOCYZCIZNETCXWES\n-proto_dist merlon\n"),
        [What] = [What || #{rule := cookie_weak, what := What} <- maps:get(findings, scan(Dir))],
        ?assertMatch({match, _}, re:run(What, "OTP's own generator.* on one core, .* on one GPU"))
    end).

a_cookie_of_mode_0400_is_fine_test() ->
    ?in_dir(Dir, begin
        Path = put_file(Dir, ".erlang.cookie", ?FINE),
        ok = file:change_mode(Path, 8#440),
        ?assertEqual([{cookie_mode, ".erlang.cookie", 1}], found(scan(Dir))),
        ok = file:change_mode(Path, 8#400),
        ?assertMatch(#{findings := [], scanned := #{config := 1}}, scan(Dir))
    end).

%% ---- certificates and keys ----

certificates_are_judged_test() ->
    ?in_dir(Dir, begin
        {ok, #{cert := Ca, key := CaKey}} = merlon_pki:new_ca(#{cluster => "shop", now => ?NOW - 86400 * 400}),
        Issue = fun(Days, From) ->
                    {ok, #{cert := Cert, key := Key}} =
                        merlon_pki:issue(#{cert => Ca, key => CaKey},
                                         #{subject => {node, "shop", "db.example.com"}, days => Days, now => From}),
                    {Cert, Key()}
                end,
        {Good, Key} = Issue(90, ?NOW),
        {Soon, _} = Issue(20, ?NOW),
        {Old, _} = Issue(10, ?NOW - 86400 * 20),
        put_file(Dir, "good/cert.pem", [Good, Ca]),
        put_file(Dir, "soon.crt", Soon),
        put_file(Dir, "chain.pem", ["text before\n", Good, Old]),
        Secret = put_file(Dir, "key.pem", Key),
        ok = file:change_mode(Secret, 8#600),
        Line = 2 + length(binary:matches(Good, <<"\n">>)),
        ?assertEqual([{cert_expired, "chain.pem", Line}, {cert_expiring, "soon.crt", 1}], found(scan(Dir))),
        ok = file:change_mode(Secret, 8#640),
        ?assert(lists:member({key_mode, "key.pem", 1}, found(scan(Dir))))
    end).

%% What it says, and only of those that a node's configuration names.
a_certificate_for_another_host_is_found_test() ->
    ?in_dir(Dir, begin
        {ok, #{cert := Ca, key := CaKey}} = merlon_pki:new_ca(#{cluster => "shop", now => ?NOW}),
        {ok, #{cert := Cert}} = merlon_pki:issue(#{cert => Ca, key => CaKey},
                                                 #{subject => {node, "shop", "db.example.com"}, now => ?NOW}),
        put_file(Dir, "cert.pem", Cert),
        put_file(Dir, "other.pem", Cert),
        put_file(Dir, "ssl_dist.conf",
                 "[{server, [{verify, verify_peer}, {fail_if_no_peer_cert, true}, {versions, ['tlsv1.3']},\n"
                 "           {certfile, \"/etc/shop/cert.pem\"}]}].\n"),
        Args = fun(Host) ->
                   put_file(Dir, "vm.args", ["-proto_dist inet_tls -ssl_dist_optfile ssl_dist.conf -name shop@", Host,
                                             "\n-kernel inet_dist_use_interface {10,0,0,5}\n"])
               end,
        Args("db.example.com"),
        ?assertEqual([], found(scan(Dir))),
        Args("db2.example.com"),
        ?assertEqual([{cert_name, "cert.pem", 1}], found(scan(Dir)))
    end).

a_certificate_with_a_common_name_only_is_found_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "cn.pem", common_name()),
        ?assertEqual([{cert_cn_only, "cn.pem", 1}], found(scan(Dir)))
    end).

%% A certificate of CN=db.example.com and nothing else, for as long as the test may live.
common_name() ->
    {ok, Pem} = file:read_file("test/audit/cn-only.txt"),
    Pem.

keys_that_are_encrypted_and_bundles_of_roots_are_left_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        put_file(Dir, "old.pem", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n"),
        put_file(Dir, "roots.pem", lists:duplicate(11, common_name())),
        put_file(Dir, "slides.key", <<0, 1, 2, 3>>),
        put_file(Dir, "vm.args", "-proto_dist merlon\n"),
        ?assertMatch(#{findings := [], unscanned := [], scanned := #{config := 1}}, scan(Dir))
    end).

%% ---- what can't be understood ----

files_that_can_not_be_understood_are_told_and_count_test_() ->
    [{Name, fun() -> ?in_dir(Dir, begin
         put_file(Dir, Name, Text),
         {2, Out, <<>>} = merlon_cli:run(["audit", Dir, "--fail-on", "critical"]),
         ?assertMatch({match, _}, re:run(Out, Name ++ ":" ++ integer_to_list(Line))),
         ?assertMatch(#{unscanned := [_], scanned := #{config := 0}}, scan(Dir))
     end) end}
     || {Name, Text, Line} <- [{"sys.config", "[{kernel,\n [{a, b}]}\n", 1}, {"rebar.config", "{a, b}.\n{c, .\n", 2},
                               {"ssl_dist.conf", "[{server, \"\n", 1},
                               {"cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 1}]].

names_in_configuration_make_no_atoms_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "sys.config", ["[", [["{merlon_never_known_", integer_to_list(N), ", x},\n"] || N <- lists:seq(1, 3000)], "{a, b}].\n"]),
        _ = scan(Dir, #{new_atoms => 1000}),
        Before = erlang:system_info(atom_count),
        ?assertMatch(#{unscanned := [{<<"sys.config">>, _}]}, scan(Dir, #{new_atoms => 1000})),
        ?assert(erlang:system_info(atom_count) - Before < 100)
    end).

%% Whatever bytes are in it: a finding or none, in time, and no crash.
hostile_files_do_no_harm_test_() ->
    {timeout, 60, fun() ->
        ?in_dir(Dir, begin
            Deep = [[lists:duplicate(N, $\s), "k:\n"] || N <- lists:seq(0, 2000)],
            [put_file(Dir, Name, Text)
             || {Name, Text} <- [{"deep.yaml", ["services:\n", Deep]}, {"dashes.yaml", ["services:\n", lists:duplicate(20000, "- "), "a\n"]},
                                 {"vm.args", lists:duplicate(100000, "-setcookie ")}, {"env.sh", lists:duplicate(50000, "A=\\\n")},
                                 {"Dockerfile", lists:duplicate(50000, "RUN x && \\\n")}, {"quotes.yaml", ["services: [", lists:duplicate(50000, $"), "\n"]},
                                 {"bytes.env", <<255, 254, 0, 10, 128, "=", 255>>}, {"a.service", lists:duplicate(50000, "[")}]],
            {Time, Report} = timer:tc(fun() -> scan(Dir) end),
            ?assertMatch(#{unscanned := []}, Report),
            ?assert(Time < 30000000)
        end)
    end}.

%% ---- where it looks ----

config_is_looked_at_and_other_code_in_it_is_not_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "config/evil.erl", "-module(evil).\n-export([f/1]).\nf(X) -> os:cmd(X).\n"),
        put_file(Dir, "config/sys.config", "[{kernel, [{inet_dist_use_interface, {0,0,0,0}}]}].\n"),
        put_file(Dir, "deps/x/vm.args", "-name a@b\n"),
        ?assertEqual([{dist_interface, "config/sys.config", 1}], found(scan(Dir))),
        ?assert(length(found(scan(Dir, #{all => true}))) > 2)
    end).

comments_and_baselines_accept_findings_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "vm.args", "# merlon: allow plain_dist until 2999-01-01 because it is a test\n-name a@b.c\n"),
        #{findings := [#{rule := dist_interface, fingerprint := Print}], suppressed := [#{rule := plain_dist}]} = scan(Dir),
        ?assertMatch(#{findings := [], known := [_]}, scan(Dir, #{baseline => #{Print => true}}))
    end).

%% ---- advisories ----

%% A version just before each fix is found, the fix is not.
the_table_of_advisories_holds_test() ->
    Rows = merlon_audit_advisories:all(),
    ?assert(length(Rows) > 15),
    [begin
         ?assertMatch({match, _}, re:run(Id, "^CVE-20\\d\\d-\\d{4,6}$")),
         Things = [{otp, Range} || Range <- Otp] ++ [{App, Range} || #{app := {App, Ranges}} <- [Row], Range <- Ranges],
         [begin
              %% What leads there is the end of what is said, and reports cut off what is too long.
              [?assert(string:length(What) =< 200) || Facts <- [[], maps:get(reach, Row) =/= [] andalso hd(maps:get(reach, Row))], is_list(Facts),
                                                      {_, What} <- merlon_audit_advisories:told({Thing, From}, Facts)],
              ?assert(is_in(Id, {Thing, From})),
              ?assertNot(is_in(Id, {Thing, Before}))
          end || {Thing, {From, Before}} <- Things]
     end || #{id := Id, otp := Otp} = Row <- Rows].

is_in(Id, Thing) -> lists:any(fun({#{id := Found}, _, _}) -> Found =:= Id end, merlon_audit_advisories:find(Thing, [])).

what_the_configuration_has_decides_whether_an_advisory_is_reached_test() ->
    Reached = fun(Version, Facts) ->
                  [Id || {#{id := Id}, _, true} <- merlon_audit_advisories:find({otp, Version}, Facts)]
              end,
    ?assert(lists:member(<<"CVE-2026-48860">>, Reached(<<"27.3.4.1">>, [tls_dist, tls12, check_ip]))),
    ?assertNot(lists:member(<<"CVE-2026-48860">>, Reached(<<"27.3.4.1">>, [tls_dist, tls12]))),
    ?assertEqual([], Reached(<<"27.3.4.18">>, [tls_dist, tls12, check_ip])),
    ?assertEqual([], Reached(<<"25.3.2">>, [])),
    %% Each finding says which it is, and by what.
    Told = merlon_audit_advisories:told({otp, <<"29.0.2">>}, [tls_dist, tls13]),
    [?assertMatch({match, _}, re:run(What, Words)) || {Rule, What} <- Told, {Rule2, Words} <- [{otp_advisory, "; reached by inet_tls"},
                                                       {otp_unreached, "; not reached without |; no configuration says"}], Rule =:= Rule2],
    ?assertMatch([_ | _], [x || {otp_unreached, What} <- Told, re:run(What, "CVE-2026-55952.*not reached without inet_tls, TLS 1.3, session_tickets$") =/= nomatch]),
    ?assertMatch([_ | _], [x || {otp_advisory, <<"OTP 29.0.2: CVE-2026-55952", _/binary>>}
                                    <- merlon_audit_advisories:told({otp, <<"29.0.2">>}, [tls_dist, tls13, tickets])]).

%% The patches of one day mend two lines; a node of either is told, and what mends it.
advisories_speak_of_each_line_that_was_mended_test_() ->
    [{binary_to_list(<<Id/binary, " ", Version/binary>>),
      ?_assertEqual(Fixed, [Before || {#{id := Found}, Before, _} <- merlon_audit_advisories:find({otp, Version}, []), Found =:= Id])}
     || Id <- [<<"CVE-2026-116293">>, <<"CVE-2026-117642">>, <<"CVE-2026-119443">>, <<"CVE-2026-115747">>],
        {Version, Fixed} <- [{<<"28.5.0.8">>, [<<"28.5.0.9">>]}, {<<"28.5.0.9">>, []}, {<<"29.1.2">>, [<<"29.1.3">>]}, {<<"29.1.3">>, []}]].

a_built_release_is_compared_by_its_applications_test() ->
    ?in_dir(Dir, begin
        put_file(Dir, "lib/ssl-11.2.12.8/ebin/ssl.beam", "x"),
        put_file(Dir, "lib/ssh-5.2.9/ebin/ssh.beam", "x"),
        put_file(Dir, "releases/1/vm.args", "-proto_dist inet_tls -ssl_dist_optfile x -name a@b.c\n"),
        Found = [{File, What} || #{rule := otp_advisory, file := File, what := What} <- maps:get(findings, scan(Dir))],
        ?assertMatch([_ | _], [x || {<<"lib/ssl-11.2.12.8">>, <<"ssl 11.2.12.8: CVE-2026-55953", _/binary>>} <- Found]),
        ?assertMatch([_], [x || {<<"lib/ssh-5.2.9">>, <<"ssh 5.2.9: CVE-2025-32433", _/binary>>} <- Found])
    end).

%% ---- the readers ----

words_are_those_of_a_shell_test() ->
    ?assertEqual([{1, <<"-a">>}, {1, <<"b c">>}, {2, <<"d\"e">>}, {4, <<"x<%= %>y">>}],
                 merlon_audit_conf_words:split_args(<<"-a 'b c'\nd\\\"e # no\n\nx<%= \"a b\" %>y">>)).

yaml_is_read_in_blocks_test() ->
    Nodes = merlon_audit_conf_yaml:nodes(<<"a:\n  - b: \"c # d\" # e\n    f: |\n      g: h\n  -\n    i: [1, 'x, y']\n">>),
    ?assertEqual([{1, <<"a">>, <<>>, []}, {2, <<"b">>, <<"\"c # d\"">>, [<<"a">>]}, {3, <<"f">>, <<>>, [<<"a">>]},
                  {4, <<>>, <<"g: h">>, [<<"f">>, <<"a">>]}, {6, <<"i">>, <<"[1, 'x, y']">>, [<<"a">>]}],
                 [{Line, Key, Value, Path} || #{line := Line, key := Key, value := Value, path := Path} <- Nodes]),
    ?assertEqual([<<"1">>, <<"x, y">>], merlon_audit_conf_yaml:flow(<<"[1, 'x, y']">>)).
