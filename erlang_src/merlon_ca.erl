%% SPDX-License-Identifier: Apache-2.0
%% Gives nodes their next certificates, where the CA's key is (DIR/ca) and `{issue, false}` is not set.
%%
%% Who sends a message between Erlang nodes is what the message says. So nothing is believed but this:
%% a certificate that this CA has signed, that a link would be made with now, and a signature with its
%% key on the request. The new one has that certificate's names and no others.
-module(merlon_ca).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, reason/1, format_error/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([reason/0]).

-type reason() :: not_issuing | too_often | bad_request | not_ours | not_a_node | wrong_node | failed |
                  {pki, atom()}.

%% Bytes of a request and of a chain.
-define(CSR_MAX, 8192).
-define(CHAIN_MAX, 65536).
-define(SIGNATURE_MAX, 1024).
%% Seconds between two certificates of a node.
-define(APART, 2).

%% When who has got one.
-record(state, {given = #{} :: #{binary() => integer()},
                quiet = merlon_quiet_core:new() :: merlon_quiet_core:quiet()}).

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 5000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

-spec init([]) -> {ok, #state{}}.
init([]) ->
    process_flag(sensitive, true),
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(Request, From, State) ->
    {Answer, Next} = answer(Request, From, State),
    merlon_ask:answered(From, Answer, Next).

answer(issues, _From, State) ->
    {element(1, issuing()) =:= ok, State};
answer({renew, Request}, {Pid, _}, State) when is_pid(Pid) ->
    Renewed = renew(Request, node(Pid), State),
    %% The text of the CA's key is not kept longer than it must.
    true = erlang:garbage_collect(),
    Renewed;
answer(_, _From, State) ->
    {{error, bad_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(_, State) -> {noreply, State}.

now_s() -> erlang:system_time(second).

issuing() ->
    case merlon_node:current() of
        {ok, #{identity := {node, _, _, _}, config := #{issue := true, dir := Dir}}} ->
            case merlon_dir:exists(merlon_dir:path([Dir, "ca", "ca.key"])) of
                true -> {ok, Dir};
                false -> {error, not_issuing}
            end;
        _ -> {error, not_issuing}
    end.

renew(#{csr := Csr, chain := Chain, signature := Signature} = Request, Node, State)
  when is_binary(Csr), byte_size(Csr) =< ?CSR_MAX, is_binary(Chain), byte_size(Chain) =< ?CHAIN_MAX,
       is_binary(Signature), byte_size(Signature) =< ?SIGNATURE_MAX ->
    case issuing() of
        {ok, Dir} -> told(checked(is_text([Csr, Chain]), Dir, Request, Node, State), Node, State);
        {error, _} = Error -> {Error, State}
    end;
renew(_Request, Node, State) ->
    told({error, bad_request}, Node, State).

is_text(Texts) -> lists:all(fun(Text) -> is_list(unicode:characters_to_list(Text)) end, Texts).

checked(false, _Dir, _Request, _Node, _State) -> {error, bad_request};
checked(true, Dir, Request, Node, State) ->
    case vouched(Request) of
        {ok, _} ->
            %% A crash report might tell the CA's key.
            try locked(Dir, Request, Node, State)
            catch error:_ -> {error, failed}
            end;
        {error, _} = Error -> Error
    end.

%% Whose certificate it is that vouches, as this node's own links would judge it.
vouched(#{csr := Csr, chain := Chain, signature := Signature}) ->
    {ok, #{ref := Own}} = merlon_node:current(),
    case merlon_nif:pki_vouched(Own, Chain, Csr, Signature, now_s()) of
        {ok, Identity} -> {ok, Identity};
        {error, {pki, Reason}} -> {error, {pki, code(Reason)}}
    end.

locked(Dir, Request, Node, #state{given = Given}) ->
    Sign = fun(Work) -> in_lock(Dir, Work, Request, Node, Given) end,
    case merlon_dir_write:locked(merlon_dir:path([Dir]), Sign) of
        {error, {Class, _}} when Class =:= file; Class =:= refused; Class =:= identity; Class =:= config;
                                 Class =:= keyring; Class =:= secrets ->
            {error, failed};
        Result -> Result
    end.

%% `merlon revoke` takes the same lock: a list that it has written is read here, and the certificate
%% judged again, before one is given that is not on it. Nobody can have this done who has not vouched.
in_lock(Dir, Work, #{csr := Csr, chain := Chain} = Request, Node, Given) ->
    case {merlon_cli_cert:ca(Dir), merlon_reload:reload()} of
        {{ok, Ca}, {ok, _}} ->
            case entitled(merlon_ca_files:issuers(Dir), Request, Node, Given) of
                {ok, Identity, Name} -> sign(maps:get(ca_cert, Ca), Csr, Chain, Identity, {Dir, Work, Name});
                {error, _} = Error -> Error
            end;
        _ -> {error, failed}
    end.

entitled(Roots, #{chain := Chain} = Request, Node, Given) ->
    case vouched(Request) of
        {ok, {node, Cluster, Name, Host}} ->
            Full = <<Name/binary, $@, Host/binary>>,
            allowed([{not_ours, is_ours(Roots, Chain, Cluster)}, {wrong_node, atom_to_binary(Node) =:= Full},
                     {too_often, is_apart(now_s(), maps:get(Full, Given, 0))}],
                    {ok, {node, Name, Host}, Full});
        {ok, _} -> {error, not_a_node};
        {error, _} = Error -> Error
    end.

%% Also when the clock was ahead and has been put right.
is_apart(Now, At) -> abs(Now - At) >= ?APART.

allowed([], Entitled) -> Entitled;
allowed([{_, true} | More], Entitled) -> allowed(More, Entitled);
allowed([{Reason, false} | _], _Entitled) -> {error, Reason}.

%% Another CA's lists would not reach a certificate of this one. While the root is rotated there are two of this CA.
is_ours(Roots, Chain, Cluster) ->
    element(1, merlon_nif:pki_verify(#{cert => Chain, trust => Roots, crls => [], cluster => Cluster,
                                       usage => client, now => now_s()})) =:= ok.

sign(CaCert, Csr, Chain, Identity, {Dir, Work, Name}) ->
    {ok, [#{ips := Ips, not_before := From, not_after := End} | _]} = merlon_nif:pki_inspect(Chain),
    {ok, [#{not_after := CaEnd} | _]} = merlon_nif:pki_inspect(CaCert),
    Grant = #{csr => Csr, subject => Identity, ips => Ips, now => now_s(),
              days => merlon_renew_core:days(From, End, CaEnd)},
    case merlon_sign:csr(Dir, Work, Grant) of
        {ok, Cert} -> {ok, Cert, Name};
        {error, {pki, Reason}} -> {error, {pki, code(Reason)}};
        {error, _} -> {error, failed}
    end.

code({Code, _}) -> Code;
code(Code) -> Code.

told({ok, Cert, Name}, _Node, #state{given = Given} = State) ->
    _ = spawn(merlon_event, issued, [Name, Cert]),
    Now = now_s(),
    Recent = maps:filter(fun(_, At) -> not is_apart(Now, At) end, Given),
    {{ok, Cert}, State#state{given = Recent#{Name => Now}}};
told({error, Reason} = Error, Node, #state{quiet = Quiet} = State) ->
    {Told, Next} = merlon_quiet_core:refused(now_s(), Quiet),
    _ = [spawn(merlon_event, issue_refused, [Node, format_error(Reason), Untold]) || {tell, Untold} <- [Told]],
    {Error, State#state{quiet = Next}}.

%% ---- words ----

%% What another node has given as reason: anything may come.
-spec reason(term()) -> reason().
reason({pki, Code}) when is_atom(Code) -> {pki, Code};
reason(Reason) when Reason =:= not_issuing; Reason =:= too_often; Reason =:= bad_request; Reason =:= not_ours;
                    Reason =:= not_a_node; Reason =:= wrong_node -> Reason;
reason(_) -> failed.

-spec format_error(reason()) -> iodata().
format_error(not_issuing) ->
    "it holds no CA's key, or has {issue, false} in merlon.config";
format_error(too_often) ->
    "the node has had another a moment ago: try again in a few seconds";
format_error(bad_request) ->
    "the request makes no sense: the two nodes may have different versions of merlon";
format_error(not_ours) ->
    "the certificate in use is another CA's: renew it there, and set {renew, false}";
format_error(not_a_node) ->
    "the certificate in use is a tool's: issue another with `merlon cert --cli`";
format_error(wrong_node) ->
    "the certificate in use is not that of the node that asks: only a node asks for itself";
format_error(failed) ->
    "the CA's files can't be used or written now: look at them with `merlon inspect`";
format_error({pki, Code}) -> merlon_pki_text:words(Code).
