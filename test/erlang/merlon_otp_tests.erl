%% SPDX-License-Identifier: Apache-2.0
%% What changes with OTP, as MAINTENANCE.md lists it: on this OTP it is as we know it, and the list is whole.
-module(merlon_otp_tests).
-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/dist_util.hrl").

-define(UNDOCUMENTED, [auth, dist_util, erl_epmd, erts_internal, prim_file]).

%% OTP takes a call to what it no longer has for a fault at run time only.
whatever_is_called_is_there_test() ->
    Calls = calls(),
    ?assert(length(Calls) > 200),
    ?assertEqual([], [Call || {Module, _, _} = Call <- Calls, Module =/= telemetry, not is_there(Call)]).

whatever_is_undocumented_is_on_the_list_test() ->
    Checklist = checklist(),
    Named = [atom_to_list(Module) || {Module, _, _} <- calls(), lists:member(Module, ?UNDOCUMENTED)]
        ++ ["net_kernel:" ++ atom_to_list(Name) || {net_kernel, Name, _} <- calls()],
    ?assert(length(lists:usort(Named)) > length(?UNDOCUMENTED)),
    ?assertEqual([], [Name || Name <- lists:usort(Named), string:find(Checklist, "`" ++ Name) =:= nomatch]).

%% Where the list says that it counts there is such a file.
the_list_leads_somewhere_test() ->
    {match, Names} = re:run(checklist(), "`(merlon_\\w+)(?:`|:)", [global, {capture, all_but_first, list}]),
    {match, Paths} = re:run(checklist(), "`((?:native|test|docs|examples)/[\\w./-]+)`", [global, {capture, all_but_first, list}]),
    ?assert(length(Names) > 15 andalso length(Paths) > 5),
    ?assertEqual([], [Name || [Name] <- Names, not is_module(Name)]),
    ?assertEqual([], [Path || [Path] <- Paths, not (filelib:is_file(path(Path)) orelse filelib:is_dir(path(Path)))]).

the_handshake_record_has_the_fields_that_we_know_test() ->
    ?assertEqual(27, length(record_info(fields, hs_data))),
    ?assertEqual([kernel_pid, other_node, this_node, socket, timer, this_flags, allowed], lists:sublist(record_info(fields, hs_data), 7)).

%% Atom cache and fragments, and the two old caches: no flag else may be refused.
flags_may_be_refused_as_we_know_test() ->
    {erts_dflags, _Default, Mandatory, _Addable, Rejectable, _StrictOrder} = erts_internal:get_dflags(),
    ?assertEqual(16#802042, Rejectable),
    ?assertEqual(0, Mandatory band Rejectable).

is_module(Name) -> lists:any(fun(Folder) -> filelib:wildcard(path(Folder ++ Name ++ ".erl")) =/= [] end, ["erlang_src/", "test/*/"]).

calls() ->
    lists:usort([Call || Beam <- filelib:wildcard(filename:join([code:lib_dir(merlon), "ebin", "*.beam"])),
                         {_, [{imports, Calls}]} <- [element(2, beam_lib:chunks(Beam, [imports]))],
                         lists:member(filename:basename(Beam, ".beam"), shipped()), Call <- Calls]).

shipped() -> [filename:basename(Source, ".erl") || Source <- filelib:wildcard(path("erlang_src/*.erl"))].

is_there({Module, Name, Arity}) ->
    erlang:is_builtin(Module, Name, Arity) orelse
        (code:ensure_loaded(Module) =:= {module, Module} andalso erlang:function_exported(Module, Name, Arity)).

checklist() -> {ok, Text} = file:read_file(path("MAINTENANCE.md")), binary_to_list(Text).

path(File) -> filename:join([code:lib_dir(merlon), "..", "..", "..", "..", File]).
