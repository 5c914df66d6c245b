%% SPDX-License-Identifier: Apache-2.0
%% The audit: what is dangerous in the code of a project, as data. Nothing of the project is run or loaded.
%%
%%   {ok, Report} = merlon_audit:scan(["."], #{}),
%%   [{Rule, File, Line} || #{rule := Rule, file := File, line := Line} <- maps:get(findings, Report)].
-module(merlon_audit).

-export([scan/2, assembled/3, counted/2, format_error/1]).
-export_type([finding/0, report/0, options/0, reason/0, parser/0]).

%% Whatever finds something makes these: scanners of configuration, nodes and wires too (`source`).
-type finding() ::
        #{rule := merlon_audit_rules:id(),
          severity := merlon_audit_rules:severity(),
          source := code | config | live | wire,
          file := binary(),                    % relative to the report's root, with /, UTF-8
          line := non_neg_integer(),           % 0: the file as a whole
          what := binary(),                    % what stands there: <<"os:cmd/1">>
          place => binary(),                   % whose code it is: <<"shop:run/1">>
          flow => merlon_audit_rules:flow(),   % what reaches it, where that counts
          snippet => binary(),                 % the line of the source
          fingerprint := binary()}.            % stays when lines move
-type report() ::
        #{root := file:filename_all(),
          findings := [finding()],             % by file and line; those that could not be scanned are among them
          suppressed := [finding()],           % by a comment that holds
          known := [finding()],                % by the baseline
          scanned := #{beam | source | config | port | node | connection => non_neg_integer()},
          nodes => [[{atom(), binary()}]],     % a row for each, of an audit of nodes
          unscanned := [{binary(), Why :: binary()}],
          left := [binary()]}.                 % Elixir scripts that nobody here can parse
%% Elixir's parser: quoted code, with names that are no atoms as binaries.
-type parser() :: fun((binary(), File :: binary()) -> {ok, term()} | {error, {Line :: non_neg_integer(), iodata()}}).
%% `only` and `skip`: rules. `baseline`: fingerprints that are known. `today` is for tests.
%% `templates`: .eex and .heex too. `now`: seconds since 1970, for dates of certificates.
-type options() :: #{all => boolean(), templates => boolean(), exclude => [string()], sources => boolean(),
                     only => [merlon_audit_rules:id()], skip => [merlon_audit_rules:id()],
                     baseline => #{binary() => term()}, parser => parser(), new_atoms => non_neg_integer(),
                     progress => fun((non_neg_integer(), non_neg_integer()) -> term()),
                     workers => pos_integer(), timeout => pos_integer(), today => calendar:date(), now => integer()}.
-type reason() :: nothing_to_scan.

%% Scans Erlang and Elixir: BEAM files, and sources of which there is no BEAM file that is as new. And what configures and
%% starts nodes, and what builds leave behind.
-spec scan([file:filename_all()], options()) ->
          {ok, report()} | {error, {audit, reason()} | {files, merlon_audit_files:reason()}}.
scan(Paths, Options) ->
    case merlon_audit_files:find(Paths, maps:with([all, templates, exclude], Options)) of
        {ok, _Root, [], []} -> {error, {audit, nothing_to_scan}};
        {ok, Root, Files, Faults} -> scanned(Root, Files, Faults, Options);
        {error, _} = Error -> Error
    end.

scanned(Root, Files, Faults, Options) ->
    Run = #{index => merlon_audit_sinks:index(), atoms => budget(Options), options => Options},
    Beams = [File || #{kind := beam} = File <- Files],
    Sources = [File || #{kind := Kind} = File <- Files, Kind =:= erl orelse Kind =:= ex],
    Compiled = compiled(chosen(Beams, Options), merlon_audit_files:sources(Sources), Run),
    {Left, Rest} = lists:partition(fun(File) -> is_left(File, Options) end, uncovered(Sources, Compiled)),
    Read = merlon_audit_source:scan(Rest, Files, Run),
    Configured = merlon_audit_conf:scan([File || #{conf := _} = File <- Files], Files, Run),
    Results = Compiled ++ Read ++ Configured,
    case [ok || #{result := ok} <- Results] of
        [] when Faults =:= [], Results =:= [] -> {error, {audit, nothing_to_scan}};
        _ -> {ok, report(Root, Results, Faults, [File || #{kind := Kind} = File <- Files, Kind =/= beam], [Name || #{name := Name} <- Left], Options)}
    end.

budget(#{new_atoms := Most}) -> merlon_audit_atoms:start(Most);
budget(_) -> merlon_audit_atoms:start().

chosen(_Beams, #{sources := true}) -> [];
chosen(Beams, _Options) -> Beams.

%% Elixir's scripts are in every project, mix.exs at least; what is compiled matters more.
is_left(#{kind := ex, script := true}, Options) -> not is_map_key(parser, Options);
is_left(_, _) -> false.

%% ---- BEAM files ----

compiled(Beams, Sources, #{options := Options} = Run) ->
    Work = fun(Beam) -> beam(Beam, Run) end,
    Results = merlon_audit_pool:files(Work, Beams, maps:with([workers, progress, timeout], Options)),
    [placed(Beam, Result, Sources) || {Beam, Result} <- Results].

beam(Beam, #{index := Index, atoms := Atoms}) ->
    case merlon_audit_files:read(Beam, default) of
        {ok, Bytes} ->
            case merlon_audit_beam:read(Bytes, merlon_audit_atoms:left(Atoms)) of
                {ok, #{functions := Functions} = Unit} ->
                    {ok, merlon_audit_code:findings(Unit, Index), lists:usort([File || {File, _} <- Functions])};
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

%% Findings where their source is; not those in a source that has changed since: it is looked at itself.
placed(#{name := Name, mtime := Time}, {ok, Raws, Files}, Sources) ->
    Known = maps:from_list([{File, merlon_audit_files:resolve(File, Name, Sources)} || File <- Files]),
    #{name => Name, kind => beam, result => ok,
      covers => [Source || {ok, #{name := Source, mtime := Changed}} <- maps:values(Known), Changed =< Time],
      raws => lists:flatmap(fun(Raw) -> in_source(Raw, Name, Time, Known) end, Raws)};
placed(#{name := Name}, {error, Reason}, _Sources) ->
    #{name => Name, kind => beam, result => {error, 0, merlon_audit_fault:words(Reason)}, covers => [], raws => []}.

in_source(#{file := File} = Raw, Beam, Time, Known) ->
    case Known of
        #{File := {ok, #{mtime := Changed}}} when Changed > Time -> [];
        #{File := {ok, #{name := Name}}} -> [Raw#{file := Name}];
        _ -> [Raw#{file := Beam}]
    end.

uncovered(Sources, Compiled) ->
    Covered = maps:from_list([{Name, true} || #{covers := Names} <- Compiled, Name <- Names]),
    [File || #{name := Name} = File <- Sources, not is_map_key(Name, Covered)].

%% ---- the report ----

report(Root, Results, Faults, Sources, Left, #{} = Options) ->
    Unscanned = [{Name, iolist_to_binary(merlon_audit_fault:words({files, Reason}))} || {Name, Reason} <- Faults]
        ++ [{Name, iolist_to_binary(Words)} || #{name := Name, result := {error, _, Words}} <- Results],
    Raws = lists:append([Raws || #{raws := Raws} <- Results]) ++ merlon_audit_allow:unscanned(Results, Faults),
    Texts = merlon_audit_texts:new(Sources),
    {Kept, Allowed} = merlon_audit_allow:apply(wanted(Raws, Options), Texts, Options),
    %% As one, so that what is allowed has no fingerprint of what is not.
    {Suppressed, Findings} = lists:partition(fun(Finding) -> is_map_key(allowed, Finding) end,
                                             merlon_audit_texts:findings(Kept ++ [Raw#{allowed => true} || Raw <- Allowed], Texts)),
    {Known, New} = lists:partition(fun(Finding) -> is_known(Finding, Options) end, Findings),
    #{root => Root, findings => New, suppressed => [maps:remove(allowed, Finding) || Finding <- Suppressed], known => Known,
      scanned => #{beam => length([ok || #{kind := beam, result := ok} <- Results]),
                   source => length([ok || #{kind := source, result := ok} <- Results]),
                   config => length([ok || #{kind := config, result := ok} <- Results])},
      unscanned => Unscanned, left => Left}.

%% A report of what other scanners than that of files have found.
-spec assembled(port | node | connection, [map()], options()) -> report().
assembled(Kind, Results, Options) ->
    (report("", Results, [], [], [], Options))#{scanned := #{Kind => length([ok || #{result := ok} <- Results])}}.

wanted(Raws, Options) ->
    Skip = maps:get(skip, Options, []),
    [Raw || #{rule := Rule} = Raw <- Raws, not lists:member(Rule, Skip), is_wanted(Rule, Options)].

%% What is not scanned may be what is asked for.
is_wanted(unscanned, _Options) -> true;
is_wanted(Rule, #{only := Only}) -> lists:member(Rule, Only);
is_wanted(_, _) -> true.

is_known(#{fingerprint := Print}, #{baseline := Known}) -> is_map_key(Print, Known);
is_known(_, _) -> false.

%% The findings that are at least this severe.
-spec counted(report(), merlon_audit_rules:severity()) -> [finding()].
counted(#{findings := Findings}, Least) ->
    [Finding || #{severity := Severity} = Finding <- Findings,
                merlon_audit_rules:rank(Severity) >= merlon_audit_rules:rank(Least)].

-spec format_error(reason()) -> iodata().
format_error(nothing_to_scan) ->
    "there is nothing to scan: no .beam, .erl, .hrl, .ex or .exs file and no configuration of a node is there "
    "(--all looks at deps and test too; unpack an archive first)".
