#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% OTP's verdict of each folder below DIR: roots.pem, chain.pem (the leaf first). Prints "NAME ok" or "NAME REASON".
%% pkix_path_validation/3 has the system's clock, no usage, no revocation lists: those are the caller's.
-mode(compile).

main([Dir]) ->
    {ok, Names} = file:list_dir(Dir),
    [io:format("~s ~s~n", [Name, verdict(filename:join(Dir, Name))]) || Name <- lists:sort(Names)].

verdict(Folder) ->
    [Roots, Chain] = [ders(filename:join(Folder, File)) || File <- ["roots.pem", "chain.pem"]],
    case [ok || Root <- Roots, validated(Root, lists:reverse(Chain)) =:= ok] of
        [] -> lists:last([validated(Root, lists:reverse(Chain)) || Root <- Roots]);
        _ -> ok
    end.

validated(Root, Chain) ->
    try public_key:pkix_path_validation(Root, Chain, [{verify_fun, {fun verify/3, []}}]) of
        {ok, _} -> ok;
        {error, {bad_cert, Reason}} when is_atom(Reason) -> Reason;
        {error, _} -> other
    catch
        _:_ -> unreadable
    end.

verify(_Cert, {bad_cert, _} = Reason, _State) -> {fail, Reason};
verify(_Cert, {extension, _}, State) -> {unknown, State};
verify(_Cert, _Valid, State) -> {valid, State}.

ders(File) ->
    {ok, Pem} = file:read_file(File),
    [Der || {'Certificate', Der, not_encrypted} <- public_key:pem_decode(Pem)].
