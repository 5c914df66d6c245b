%% SPDX-License-Identifier: Apache-2.0
%% Compose files, Kubernetes manifests and Helm values: environment, commands, ports, images, limits.
-module(merlon_audit_conf_manifest).

-export([items/1]).

-import(merlon_audit_conf_yaml, [scalar/1, flow/1]).

%% `none`: YAML of something else.
-spec items(binary()) -> {ok, [merlon_audit_conf_words:item()]} | none.
items(Text) ->
    case re:run(Text, "^(apiVersion|services|env|image|extraEnv|config):|-\\s+apiVersion:", [multiline, {capture, none}]) of
        match ->
            Nodes = merlon_audit_conf_yaml:nodes(Text),
            {ok, lists:flatmap(fun(Node) -> node(Node, is_secret(Text)) end, Nodes) ++ named(Nodes) ++ commands(Nodes)};
        nomatch -> none
    end.

%% Of a Secret the values below `data` are in base64.
is_secret(Text) -> re:run(Text, "^kind:\\s*[\"']?Secret", [multiline, {capture, none}]) =:= match.

node(#{line := Line, key := <<"image">>, value := Value}, _) -> [{image, Line, scalar(Value)}];
node(#{line := Line, key := Key, value := Value, path := Path}, _)
  when Key =:= <<"port">>; Key =:= <<"nodePort">>; Key =:= <<"hostPort">>; Key =:= <<"published">> ->
    [{port, Line, Port} || lists:member(<<"ports">>, Path), Port <- number(scalar(Value))];
node(#{line := Line, key := <<>>, value := <<$[, _/binary>> = Value, path := [<<"ports">> | _]}, _) ->
    [{port, Line, Port} || Text <- flow(Value), is_binary(Text), Port <- published(Text)];
node(#{line := Line, key := <<"ports">>, value := <<$[, _/binary>> = Value}, _) ->
    [{port, Line, Port} || Text <- flow(Value), is_binary(Text), Port <- published(Text)];
node(#{line := Line, key := <<>>, value := <<${, _/binary>> = Value}, _) -> inline(Line, flow(Value));
node(#{line := Line, key := <<>>, value := Value, path := [<<"ports">> | _]}, _) ->
    [{port, Line, Port} || Port <- published(scalar(Value))];
node(#{line := Line, key := <<"ulimits">>, value := Value}, _) -> core(Line, Value, "\\bcore[\"']?\\s*:\\s*(\\{[^}]*:\\s*)?");
node(#{line := Line, key := Key, value := Value, path := Path}, _) when Key =:= <<"core">>; Key =:= <<"soft">>; Key =:= <<"hard">> ->
    [Found || lists:member(<<"ulimits">>, Path), Key =:= <<"core">> orelse hd(Path) =:= <<"core">>,
              Found <- core(Line, Value, "^(\\{.*:\\s*)?")];
node(#{line := Line, key := <<>>, value := Value, path := Path}, _) when Path =/= [] ->
    case lists:member(hd(Path), [<<"environment">>, <<"env">>]) andalso binary:split(scalar(Value), <<"=">>) of
        [Name, Given] -> merlon_audit_conf_words:env(Line, Name, Given);
        _ -> []
    end;
node(#{line := Line, key := Key, value := Value, path := Path}, IsSecret) ->
    case re:run(Key, "^[A-Z][A-Z0-9_]+$", [{capture, none}]) =:= match andalso Value =/= <<>>
        andalso not lists:member(binary:first(Value), "{[*&!") of
        true -> merlon_audit_conf_words:env(Line, Key, decoded(scalar(Value), IsSecret andalso take(1, Path) =:= [<<"data">>]));
        false -> []
    end.

%% Value, or soft and hard in {}.
core(Line, Value, Before) ->
    [{found, Line, core_dump, <<"ulimit core without a limit">>}
     || re:run(Value, [Before, "[\"']?(-1|unlimited)\\b"], [{capture, none}]) =:= match].

take(N, List) -> lists:sublist(List, N).

decoded(Value, true) ->
    try base64:decode(Value) catch error:_ -> Value end;
decoded(Value, false) -> Value.

%% {name: X, value: y} and {name: X, valueFrom: ...}
inline(Line, Pairs) ->
    case [Value || {<<"name">>, Value} <- Pairs] of
        [Name] ->
            [Item || {<<"value">>, Value} <- Pairs, Item <- merlon_audit_conf_words:env(Line, Name, Value)]
                ++ [{env, Line, Name, reference} || {<<"valueFrom">>, _} <- Pairs];
        _ -> []
    end.

%% - name: X / value: y, in one item of a list.
named(Nodes) ->
    Names = [Node || #{key := <<"name">>} = Node <- Nodes],
    lists:append([of_name(Name, Nodes) || Name <- Names]).

of_name(#{value := Name, item := Item, indent := Indent, line := At}, Nodes) ->
    lists:append([given(scalar(Name), Node) || #{item := I, indent := In, line := Line} = Node <- Nodes,
                                               I =:= Item, In =:= Indent, abs(Line - At) < 8]).

given(Name, #{key := <<"value">>, value := Value, line := Line}) -> merlon_audit_conf_words:env(Line, Name, scalar(Value));
given(Name, #{key := <<"valueFrom">>, line := Line}) -> [{env, Line, Name, reference}];
given(_, _) -> [].

%% ---- commands ----

commands(Nodes) ->
    Own = [Node || #{key := Key} = Node <- Nodes,
                   lists:member(Key, [<<"command">>, <<"args">>, <<"entrypoint">>])],
    lists:append([command(Node, Nodes) || Node <- Own]).

command(#{line := Line, value := <<$[, _/binary>> = Value}, _Nodes) ->
    merlon_audit_conf_shell:exec([{Line, Text} || Text <- flow(Value), is_binary(Text)], Line);
command(#{line := Line, value := <<>>, key := Key, path := Path}, Nodes) ->
    Words = [{L, scalar(Value)} || #{line := L, key := <<>>, value := Value, path := [K | Above]} <- Nodes, K =:= Key, Above =:= Path,
                                   L > Line],
    merlon_audit_conf_shell:exec(Words, Line);
command(#{line := Line, value := Value}, _Nodes) -> merlon_audit_conf_shell:line(scalar(Value), Line).

%% ---- ports ----

%% HOST:PUBLISHED:INSIDE, of which loopback is reached by nobody else; a bare INSIDE gets a port by chance.
published(Text) ->
    case binary:split(hd(binary:split(Text, <<"/">>)), <<":">>, [global]) of
        [_] -> [];
        [Published, _] -> number(Published);
        [Address, Published, _] when Address =/= <<"127.0.0.1">>, Address =/= <<"localhost">> -> number(Published);
        _ -> []
    end.

number(Text) ->
    try [binary_to_integer(Text)] catch error:badarg -> [] end.
