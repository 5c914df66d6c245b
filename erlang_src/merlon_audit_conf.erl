%% SPDX-License-Identifier: Apache-2.0
%% The scanner of configuration and of what builds leave behind. Each kind of file has a reader that gives items of one form
%% (merlon_audit_conf_words); rules look at the items of one file, then at those of all. Cookies in them stay here: no line
%% that has one is shown.
-module(merlon_audit_conf).

-export([scan/3]).

-define(BYTES, 16#800000).
-define(SCRIPT, 16#40000).

%% One result for each of Files that says something, as merlon_audit_source gives them. All: what the walk has found.
-spec scan([merlon_audit_files:file()], All :: [merlon_audit_files:file()], map()) -> [map()].
scan(Files, All, #{options := Options} = Run) ->
    Work = fun(File) -> looked(File, Run) end,
    Read = merlon_audit_pool:files(Work, Files, maps:with([workers, timeout], Options)),
    Items = [{Name, Kind, Items} || {#{name := Name, conf := Kind}, {ok, Items, _}} <- Read] ++ applications(All),
    Joined = lists:foldl(fun({Name, Found}, Acc) -> maps:update_with(Name, fun(Known) -> [Found | Known] end, [Found], Acc) end,
                         #{}, merlon_audit_conf_joined:findings(Items)),
    Results = [result(Name, Read1, maps:get(Name, Joined, [])) || {#{name := Name}, Read1} <- Read, Read1 =/= none],
    Elsewhere = maps:without([Name || #{name := Name} <- Results], Joined),
    Results ++ [folder(Name, Found) || {Name, Found} <- maps:to_list(Elsewhere)].

result(Name, {ok, Items, Found}, Joined) ->
    Hidden = [Line || {Line, _} <- merlon_audit_conf_rules:cookies(Items)]
        ++ [Line || {flag, Line, <<"-setcookie">>, _, _} <- Items],
    #{name => Name, kind => config, covers => [], result => ok,
      raws => [raw(Name, One, Hidden) || One <- lists:usort(Found ++ Joined)]};
result(Name, {error, {syntax, Line, _} = Reason}, _) -> failed(Name, Line, Reason);
result(Name, {error, Reason}, _) -> failed(Name, 0, Reason).

failed(Name, Line, Reason) ->
    #{name => Name, kind => config, covers => [], raws => [],
      result => {error, Line, merlon_audit_fault:words(Reason)}}.

%% Of a release's folder of an application, which is no file that was read.
folder(Name, Found) ->
    #{name => Name, kind => folder, covers => [], result => ok, raws => [raw(Name, One, []) || One <- lists:usort(Found)]}.

raw(Name, {Line, Rule, What}, Hidden) ->
    {ok, Row} = merlon_audit_rules:find(Rule),
    Raw = #{rule => Rule, severity => merlon_audit_rules:severity(Row, literal), source => config, file => Name,
            line => Line, what => What},
    case lists:member(Line, Hidden) of
        true -> Raw#{hide => true};
        false -> Raw
    end.

%% ---- one file ----

looked(File, Run) ->
    case items(File, Run) of
        {ok, Items} -> {ok, Items, told(File, merlon_audit_conf_rules:findings(Items, names(File, Items)))};
        Other -> Other
    end.

%% A release's script gives the cookie to each of its ten commands: one finding says so.
told(#{conf := script}, Found) ->
    Firsts = lists:foldl(fun({Line, Rule, What}, Acc) -> maps:update_with({Rule, What}, fun(At) -> min(At, Line) end, Line, Acc) end,
                         #{}, Found),
    [{Line, Rule, What} || {{Rule, What}, Line} <- maps:to_list(Firsts)];
told(_File, Found) -> Found.

%% A crash dump may be as large as the node was.
items(#{conf := crash_dump} = File, _Run) -> {ok, merlon_audit_conf_release:items(crash_dump, File, <<>>)};
%% Beside scripts lie programs, large ones too.
items(#{conf := script, size := Size}, _Run) when Size > ?SCRIPT -> none;
items(#{conf := Kind} = File, Run) ->
    case merlon_audit_files:read(File, ?BYTES) of
        {ok, Text} -> items(Kind, File, utf8(Text), Run);
        {error, _} = Error -> Error
    end.

%% Comments in Latin-1 are no reason to pass a file over.
utf8(Text) ->
    case unicode:characters_to_binary(Text) of
        Text -> Text;
        _ -> unicode:characters_to_binary(Text, latin1)
    end.

items(vm_args, _File, Text, _Run) ->
    {ok, merlon_audit_conf_words:flags(merlon_audit_conf_words:split_args(Text), file)};
items(env, _File, Text, _Run) -> {ok, merlon_audit_conf_shell:items(Text)};
items(script, _File, Text, _Run) -> merlon_audit_conf_shell:script(Text);
items(Kind, _File, Text, #{atoms := Atoms}) when Kind =:= sys_config; Kind =:= optfile; Kind =:= inetrc; Kind =:= rebar ->
    merlon_audit_conf_terms:items(Kind, Text, Atoms);
items(Kind, _File, Text, _Run) when Kind =:= mix; Kind =:= exs -> {ok, merlon_audit_conf_exs:items(Kind, Text)};
items(docker, _File, Text, _Run) -> {ok, merlon_audit_conf_docker:items(Text)};
items(yaml, _File, Text, _Run) -> merlon_audit_conf_manifest:items(Text);
items(unit, _File, Text, _Run) -> {ok, merlon_audit_conf_ini:unit(Text)};
items(toml, _File, Text, _Run) -> {ok, merlon_audit_conf_ini:toml(Text)};
items(pem, File, Text, #{options := Options}) ->
    merlon_audit_conf_pem:items(File, Text, maps:get(now, Options, erlang:system_time(second)));
items(Kind, File, Text, _Run) -> {ok, merlon_audit_conf_release:items(Kind, File, Text)}.

%% What a cookie in it may be derived from: the parts of nodes' names and of the path.
names(#{name := Path}, Items) ->
    Nodes = [Name || {flag, _, Flag, [{_, Name} | _], _} <- Items, Flag =:= <<"-name">> orelse Flag =:= <<"-sname">>]
        ++ [Name || {env, _, <<"RELEASE_NODE">>, Name} <- Items, is_binary(Name)],
    [Part || Text <- [Path | Nodes], Part <- binary:split(Text, [<<"/">>, <<"@">>, <<".">>], [global, trim_all])].

%% Versions of OTP's applications in a built release, by the folders of their BEAM files.
applications(All) ->
    Found = lists:usort([{folder(Name), App, Version} || #{name := Name} <- All,
                                                         {ok, App, Version} <- [merlon_audit_conf_release:app(Name)]]),
    [{Folder, versions, [{app, App, Version}]} || {Folder, App, Version} <- Found].

folder(Name) -> filename:dirname(filename:dirname(Name)).
