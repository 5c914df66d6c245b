%% SPDX-License-Identifier: Apache-2.0
%% One renewal, from the new key to the files: finds a node that gives certificates, asks it, judges
%% what it says as at a start of the node, and puts it into place.
-module(merlon_renew_ask).

-export([renew/1]).

%% Milliseconds for all to say whether they give certificates, and for one to give one.
-define(WHO, 5000).
-define(CERT, 15000).
%% Bytes of an answer.
-define(CERT_MAX, 65536).

%% By hand, the new one may end when the old one does: it has a new key for all that. In a rotation of the CA it may end
%% before: the root that stays may have less time left than the one that goes.
-spec renew(merlon_renew:how()) ->
          {ok, #{sha256 := binary(), not_after := integer(), issuer := node()}} |
          {error, {renew, merlon_renew:reason()} | merlon_identity:problem()}.
renew(How) ->
    process_flag(sensitive, true),
    case merlon_node:current() of
        {ok, #{identity := {node, _, _, _}} = Node} -> prepared(Node, How, issuers());
        {ok, _} -> {error, {renew, not_a_node}};
        none -> {error, {renew, not_distributed}}
    end.

%% This node first: who holds the key needs nobody.
issuers() ->
    Answers = merlon_ask:all(merlon_ca, [node() | merlon_ask:peers()], issues, ?WHO),
    case [Node || {Node, true} <- Answers] of
        [Own | Others] when Own =:= node() -> [Own | shuffled(Others)];
        Others -> shuffled(Others)
    end.

shuffled(Nodes) ->
    [Node || {_, Node} <- lists:sort([{rand:uniform(), Node} || Node <- Nodes])].

prepared(_Node, _How, []) ->
    {error, {renew, no_issuer}};
prepared(#{dir := Folder, config := #{dir := Dir} = Config, identity := {Kind, Cluster, Name, Host}}, How, Issuers) ->
    case {merlon_identity_files:read({Kind, Folder}, Config), has_room(Dir)} of
        {{ok, #{cert := Cert, key := Key} = Files}, ok} ->
            {ok, [#{ips := Ips, key_alg := Alg, not_after := End} | _]} = merlon_nif:pki_inspect(Cert),
            {ok, #{csr := Csr, key := New}} =
                merlon_nif:pki_new_csr(#{cluster => Cluster, identity => {Kind, Name, Host}, ips => Ips,
                                         alg => merlon_renew_core:alg(Alg)}),
            {ok, Signature} = merlon_nif:pki_vouch(Key, Csr),
            Request = #{csr => Csr, chain => Cert, signature => Signature},
            ask(Issuers, Request, Files#{key := New}, {Config, How, End}, no_issuer);
        {{error, Problem}, _} -> unasked(How, Problem);
        {_, {error, Problem}} -> unasked(How, Problem)
    end.

%% A rotation of the CA counts what may have been signed (merlon_roots_core:renewed/4).
unasked(other_root, Problem) -> {error, {renew, {unasked, Problem}}};
unasked(_How, Problem) -> {error, Problem}.

%% Else a full disk would use up, try by try, all that the node's name may have.
has_room(Dir) ->
    case merlon_dir_write:locked(merlon_dir:path([Dir]), fun merlon_identity_write:room/1) of
        {error, {refused, Text}} -> {error, {renew, {locked, Text}}};
        Result -> Result
    end.

ask([], _Request, _Files, _About, Problem) ->
    {error, {renew, Problem}};
ask([Issuer | More], Request, Files, About, _Problem) ->
    case merlon_ask:call(merlon_ca, Issuer, {renew, Request}, ?CERT) of
        {ok, {ok, Cert}} when is_binary(Cert), byte_size(Cert) =< ?CERT_MAX ->
            case judged(Cert, Files, About, Issuer) of
                {error, {renew, {Bad, _} = Why}} when Bad =:= bad_answer; Bad =:= ca_ends ->
                    ask(More, Request, Files, About, Why);
                Result -> Result
            end;
        {ok, {error, Reason}} -> ask(More, Request, Files, About, {refused, Issuer, merlon_ca:reason(Reason)});
        none -> ask(More, Request, Files, About, {refused, Issuer, no_answer});
        _ -> ask(More, Request, Files, About, {bad_answer, Issuer})
    end.

%% It has to be good for a start of this very node, and to last longer than the one in use, but for what renew/1 says.
judged(Cert, Files, {Config, How, End}, Issuer) ->
    case merlon_identity:use(Files#{cert := Cert}, Config, erlang:system_time(second)) of
        {ok, #{not_after := Later, sha256 := Sha256}} when Later > End; Later =:= End, How =:= by_hand; How =:= other_root ->
            put_pair(Cert, Files, Config, #{sha256 => Sha256, not_after => Later, issuer => Issuer});
        {ok, #{not_after := End}} -> {error, {renew, {ca_ends, Issuer}}};
        _ -> {error, {renew, {bad_answer, Issuer}}}
    end.

%% Not in the place of one that came there while this one was asked for: by hand, or by a rotation of the CA.
put_pair(Cert, #{folder := Folder, cert := Before, key := Key}, #{dir := Dir}, Renewed) ->
    Put = fun(Work) ->
        case merlon_dir:read(merlon_identity_files:cert(Folder)) of
            {ok, Before} -> merlon_identity_write:put_pair(Folder, Work, Cert, Key);
            {ok, _} -> {error, {refused, ["another certificate was put into ", Folder, " meanwhile, and stays"]}};
            {error, _} = Error -> Error
        end
    end,
    in_use(merlon_dir_write:locked(merlon_dir:path([Dir]), Put), Renewed).

in_use(ok, Renewed) ->
    case merlon_reload:reload() of
        {ok, _} -> {ok, Renewed};
        {error, not_distributed} -> {error, {renew, not_distributed}};
        {error, _} = Error -> Error
    end;
in_use({error, {refused, Text}}, _Renewed) -> {error, {renew, {locked, Text}}};
in_use({error, _} = Error, _Renewed) -> Error.
