%% SPDX-License-Identifier: Apache-2.0
%% What a build or a run leaves behind: cookies in files, crash dumps, versions of OTP and its applications.
-module(merlon_audit_conf_release).

-export([items/3, app/1]).

-spec items(merlon_audit_conf_kind:kind(), merlon_audit_files:file(), binary()) -> [merlon_audit_conf_words:item()].
items(cookie, #{name := Name} = File, Text) ->
    [{kept, 1, string:trim(Text, trailing, "\r\n ")}]
        ++ [{found, 1, release_cookie, <<"releases/COOKIE">>} || filename:basename(Name) =:= <<"COOKIE">>]
        ++ mode(cookie_mode, File);
items(crash_dump, _File, _Text) -> [{found, 1, crash_dump, <<"a crash dump lies here">>}];
items(otp_version, _File, Text) -> [{otp, 1, V} || V <- merlon_audit_advisories:version(Text)];
items(start_erl, _File, Text) ->
    [{app, <<"erts">>, V} || [Erts | _] <- [binary:split(Text, <<" ">>)], V <- merlon_audit_advisories:version(Erts)];
items(versions, _File, Text) ->
    [{otp, N, V} || {N, Line} <- merlon_audit_conf_shell:raw(Text),
                    {match, [Given]} <- [re:run(Line, "^\\s*erlang\\s+(\\S+)", [{capture, [1], binary}])],
                    V <- merlon_audit_advisories:version(Given)].

%% A mode that lets others read.
mode(Rule, #{mode := Mode}) when Mode band 8#077 =/= 0 ->
    [{found, 1, Rule, iolist_to_binary(io_lib:format("mode ~4.8.0b", [Mode band 8#777]))}];
mode(_, _) -> [].

%% The application of OTP in whose folder a release's file lies.
-spec app(binary()) -> {ok, binary(), binary()} | none.
app(Name) ->
    case re:run(Name, "(?:^|/)lib/(ssl|ssh|kernel|public_key|inets)-([0-9.]+)/ebin/", [{capture, [1, 2], binary}]) of
        {match, [App, Version]} -> {ok, App, Version};
        nomatch -> none
    end.
