%% SPDX-License-Identifier: Apache-2.0
%% Signing with the CA of a merlon dir: who signs writes down what he signed, before it is handed out.
-module(merlon_sign).

-export([csr/2, csr/3]).
-export_type([grant/0, problem/0]).

%% What the certificate will say; of the request only the key is taken. `days` end with the CA.
-type grant() :: #{csr := binary(), subject := {node | cli, Name :: binary(), Host :: binary()},
                   days := pos_integer(), ips => [binary()], now => integer()}.
-type problem() :: {pki, merlon_nif:pki_reason()} | {file, merlon_dir:reason()} | {identity, term()} |
                   {refused, iodata()}.

%% Signs under the lock of Dir. `refused` may be another command at work there: try again.
-spec csr(string(), grant()) -> {ok, Cert :: binary()} | {error, problem()}.
csr(Dir, Grant) ->
    merlon_dir_write:locked(merlon_dir:path([Dir]), fun(Work) -> csr(Dir, Work, Grant) end).

%% The same for who has the lock.
-spec csr(string(), Work :: merlon_dir:path(), grant()) -> {ok, Cert :: binary()} | {error, problem()}.
csr(Dir, Work, #{csr := Csr, subject := Subject, days := Days} = Grant) ->
    Now = maps:get(now, Grant, erlang:system_time(second)),
    case merlon_cli_cert:ca(Dir) of
        {ok, Ca} ->
            Request = #{csr => Csr, identity => Subject, ips => maps:get(ips, Grant, []), days => Days, now => Now},
            recorded(sign(maps:merge(Ca, Request)), Dir, Work, Now);
        {error, _} = Error -> Error
    end.

%% A stacktrace would hold the CA's key.
sign(Request) ->
    try merlon_nif:pki_sign_csr(Request)
    catch error:_ -> {error, {pki, malformed_csr}}
    end.

recorded({ok, Cert}, Dir, Work, Now) ->
    case merlon_issued:record(merlon_dir:path([Dir]), Work, Cert, Now) of
        ok -> {ok, Cert};
        {error, _} = Error -> Error
    end;
recorded({error, _} = Error, _Dir, _Work, _Now) -> Error.
