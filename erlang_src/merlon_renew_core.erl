%% SPDX-License-Identifier: Apache-2.0
%% When a node asks for its next certificate, and when it is time to warn. Pure: the time, in seconds
%% since 1970, and chance, from 0 to 1, come in as arguments.
-module(merlon_renew_core).

-export([plan/3, is_due/2, failed/3, hurry/3, days/3, alg/1]).
-export_type([plan/0, cert/0]).

%% Fingerprint and validity.
-type cert() :: {Sha256 :: binary(), NotBefore :: integer(), NotAfter :: integer()}.
-type plan() :: #{cert := cert(), next := integer(), tries := non_neg_integer(),
                  warned := never | integer()}.

-define(DAY, 86400).
%% Seconds after the first failure, and the most there may be between two.
-define(FIRST, 10).
-define(LONGEST, 3600).
%% Of a certificate that gives no measure.
-define(DAYS, 90).

%% The plan for a certificate: as it was, if it is the same. Due after two thirds of its life, a
%% thirtieth more or less, so that nodes that were set up together don't ask together.
-spec plan(cert(), Chance :: float(), plan() | none) -> plan().
plan(Cert, _Chance, #{cert := Cert} = Plan) -> Plan;
plan({_, From, To} = Cert, Chance, _Plan) ->
    #{cert => Cert, next => From + round((To - From) * (19 + 2 * Chance) / 30), tries => 0, warned => never}.

-spec is_due(Now :: integer(), plan()) -> boolean().
is_due(Now, #{next := Next}) -> Now >= Next.

%% It could not be renewed: when to try again, and whether to warn. The last third of the life is for
%% trying; when a third of that has gone, a warning is due, and another every day.
-spec failed(Now :: integer(), Chance :: float(), plan()) -> {quiet | warn, plan()}.
failed(Now, Chance, #{cert := {_, From, To}, tries := Tries} = Plan) ->
    Next = Plan#{next := Now + round(pause(Tries, To - Now) * (3 + 2 * Chance) / 4), tries := Tries + 1},
    case Now >= From + (To - From) * 7 div 9 andalso is_news(Now, Plan) of
        true -> {warn, Next#{warned := Now}};
        false -> {quiet, Next}
    end.

%% Twice as long each time, but often enough before the end.
pause(Tries, Left) ->
    Doubled = min(?FIRST bsl min(Tries, 16), ?LONGEST),
    case Left > 0 of
        true -> min(Doubled, max(?FIRST, Left div 8));
        false -> Doubled
    end.

is_news(_Now, #{warned := never}) -> true;
is_news(Now, #{warned := Last}) -> Now - Last >= ?DAY.

%% A new link may be to the CA: who has failed tries again soon.
-spec hurry(Now :: integer(), Chance :: float(), plan()) -> plan().
hurry(_Now, _Chance, #{tries := 0} = Plan) -> Plan;
hurry(Now, Chance, #{next := Next} = Plan) -> Plan#{next := min(Next, Now + round(2 + 3 * Chance))}.

%% How long the next certificate is good for: as long as this one was to be. One that was cut at the
%% CA's end does not say.
-spec days(NotBefore :: integer(), NotAfter :: integer(), CaEnd :: integer()) -> pos_integer().
days(_NotBefore, End, CaEnd) when End >= CaEnd -> ?DAYS;
days(NotBefore, NotAfter, _CaEnd) -> max(1, (NotAfter - NotBefore) div ?DAY).

%% The kind of key of the next one, from what a certificate says of its own.
-spec alg(binary()) -> merlon_pki:alg().
alg(<<"EC P-384">>) -> p384;
alg(<<"Ed25519">>) -> ed25519;
alg(_) -> p256.
