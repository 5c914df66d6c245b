%% SPDX-License-Identifier: Apache-2.0
%% A world for merlon_rotate_core: nodes with files, clocks that differ, links that come and go, messages that are lost. One
%% tick is 20 seconds of true time. Secrets are ids in files; whoever gives one needs an entry that the asker accepts.
-module(merlon_rotate_world).

-export([new/1, run/2, settle/2, names/1, informed/2, accepts/3, linked/3, time/1, file/2, live/2, begins/2, got/3, made/1, dropped/1, is_calm/1, can_learn/3]).
-export([grace/0, skew/0, wait/0]).

-define(TICK, 20).
-define(GRACE, 1200).
-define(WAIT, (?GRACE div 4)).
-define(SKEW, 300).
-define(START, 1000000).

grace() -> ?GRACE.
skew() -> ?SKEW.
wait() -> ?WAIT.

%% Nodes that begin with one common entry.
new(Count) ->
    Names = [list_to_atom([$n, $0 + N]) || N <- lists:seq(1, Count)],
    First = #{<<"0000000000000000">> => {?START - 100, ?START - 400, never}},
    Nodes = maps:from_list([{Name, boot(Name, #{file => First, had => First, got => #{}, kept => nothing(), offset => 0})} || Name <- Names]),
    World = #{now => ?START, nodes => Nodes, links => [], parts => #{}, wires => [], loss => 0, dice => 0, made => [],
              next => 1, calm => 0, fresh => [], dropped => []},
    lists:foldl(fun held/2, World, Names).

nothing() -> #{known => #{}, begins => #{}, peers => #{}}.

boot(Name, #{kept := Kept} = Node) -> Node#{core => merlon_rotate_core:new(Name, Kept), asked => #{}}.

%% Sorted: maps of atoms are in no order that lasts, from OTP 26 on.
names(#{nodes := Nodes}) -> lists:sort(maps:keys(Nodes)).
time(#{now := Now}) -> Now.
made(#{made := Made}) -> Made.
dropped(#{dropped := Dropped}) -> Dropped.
file(Name, #{nodes := Nodes}) -> maps:get(file, maps:get(Name, Nodes)).
linked(A, B, #{links := Links}) -> lists:member(pair(A, B), Links).

pair(A, B) when A < B -> {A, B};
pair(A, B) -> {B, A}.

%% Whether they have something to seal with, or had when they linked, just now.
can_learn(A, B, #{fresh := Fresh} = World) ->
    linked(A, B, World) andalso (lists:member(pair(A, B), Fresh) orelse common(A, B, World) =/= []).

clock(Name, #{now := Now, nodes := Nodes}) -> Now + maps:get(offset, maps:get(Name, Nodes)).

accepts(Name, Id, World) ->
    Now = clock(Name, World),
    case file(Name, World) of
        #{Id := {_, Begin, End}} -> Begin =< Now andalso Now < End;
        #{} -> false
    end.

common(A, B, World) -> [Id || Id <- maps:keys(file(A, World)), accepts(A, Id, World), accepts(B, Id, World)].

%% It has got the entry of every rotation that began longer ago than wait and grace.
informed(Name, #{now := Now, made := Made, nodes := Nodes}) ->
    #{Name := #{had := Had}} = Nodes,
    lists:all(fun({Id, At, _}) -> At + ?WAIT + ?GRACE > Now orelse is_map_key(Id, Had) end, Made).

%% Nothing has been lost, no link has been cut or come up and no clock moved for longer than nodes take to say all of it
%% again and to ask others for what one does not give, since by its clock it has ended: ends wait 2 minutes for that.
is_calm(#{calm := Ticks}) -> Ticks > 120 div ?TICK + 1.

%% What will count for long, with its dates: clocks differ.
live(Name, #{now := Now} = World) ->
    maps:filter(fun(_, {_, _, End}) -> End > Now + 2 * ?SKEW end, file(Name, World)).

%% Since when it has had an entry.
got(Name, Id, #{nodes := Nodes}) ->
    #{Name := #{got := Got}} = Nodes,
    maps:get(Id, Got).

%% Whether it has an entry that is still to begin.
begins(Name, World) ->
    Now = clock(Name, World),
    lists:any(fun({_, Begin, _}) -> Begin > Now end, maps:values(file(Name, World))).

%% ---- commands ----

%% Check sees the world after each tick.
run(Commands, {World, Check}) ->
    lists:foldl(fun(Command, Acc) -> command(Command, Acc, Check) end, World, Commands).

command({wait, Ticks}, World, Check) -> lists:foldl(fun(_, Acc) -> tick(Acc, Check) end, World, lists:seq(1, Ticks));
command({split, Parts}, World, _) -> cut(World#{parts := split(names(World), Parts), calm := 0});
command(heal, World, _) -> World#{parts := #{}, calm := 0};
command({loss, Percent}, World, _) -> World#{loss := Percent, calm := 0};
command({clock, N, Offset}, World, _) -> update(name(N, World), fun(Node) -> Node#{offset := Offset} end, World#{calm := 0});
command({crash, N}, World, _) -> crash(name(N, World), World);
command({rotate, N, Until}, World, _) -> rotate(name(N, World), Until, World);
command({drop, N}, World, _) -> drop(name(N, World), World).

split(Names, Parts) -> maps:from_list(lists:zip(Names, lists:sublist(Parts, length(Names)))).

name(N, World) -> lists:nth(1 + N rem length(names(World)), names(World)).

update(Name, Change, #{nodes := Nodes} = World) -> World#{nodes := maps:update_with(Name, Change, Nodes)}.

%% kill -9: what was on the disk is what there is.
crash(Name, #{links := Links, wires := Wires} = World) ->
    Down = World#{calm := 0, links := [Link || {A, B} = Link <- Links, A =/= Name, B =/= Name],
                  wires := [Wire || {From, To, _} = Wire <- Wires, From =/= Name, To =/= Name]},
    Lost = [B || {A, B} <- Links, A =:= Name] ++ [A || {A, B} <- Links, B =:= Name],
    Told = lists:foldl(fun(Peer, Acc) -> event(Peer, {down, Name}, Acc) end, Down, Lost),
    held(Name, update(Name, fun(Node) -> boot(Name, Node) end, Told)).

held(Name, World) ->
    Entries = [#{id => Id, created => Created, not_before => Begin, not_after => End}
               || {Id, {Created, Begin, End}} <- maps:to_list(file(Name, World))],
    #{Name := #{kept := Kept}} = maps:get(nodes, World),
    event(Name, {disk, Entries, Kept}, World).

cut(#{links := Links} = World) ->
    Gone = [Link || {A, B} = Link <- Links, not reach(A, B, World)],
    Left = World#{links := Links -- Gone, wires := [W || {A, B, _} = W <- maps:get(wires, World), reach(A, B, World)]},
    lists:foldl(fun({A, B}, Acc) -> event(B, {down, A}, event(A, {down, B}, Acc)) end, Left, Gone).

reach(A, B, #{parts := Parts}) -> maps:get(A, Parts, 0) =:= maps:get(B, Parts, 0).

%% Until: how far it gets before the node is killed.
rotate(Name, Until, #{made := Made, next := Next, now := True} = World) ->
    Now = clock(Name, World),
    File = file(Name, World),
    Entries = [#{id => Id, created => Created, not_before => Begin, not_after => End}
               || {Id, {Created, Begin, End}} <- maps:to_list(File)],
    case merlon_rotate_core:fresh(Entries, Now, #{grace => ?GRACE, skew => ?SKEW}) of
        full -> World;
        {ok, Dates, Begin, Changes} ->
            Id = iolist_to_binary(io_lib:format("~16.16.0b", [Next])),
            Kept = World#{made := [{Id, True, [Old || {Old, _, _} <- Changes]} | Made], next := Next + 1},
            Noted = keep(Name, #{known => #{Id => Dates}, begins => #{Id => Begin}, peers => #{}}, Kept),
            case Until of
                status -> (crash(Name, Noted))#{made := Made};
                file -> crash(Name, put_file(Name, Changes, #{Id => Dates}, Noted));
                done -> held(Name, put_file(Name, Changes, #{Id => Dates}, Noted))
            end
    end.

%% As an operator should: not the newest, and only when all have that one.
drop(Name, #{dropped := Dropped} = World) ->
    File = file(Name, World),
    Newest = element(2, lists:max([{Created, Id} || {Id, {Created, _, _}} <- maps:to_list(File)])),
    Others = lists:sort(maps:keys(File) -- [Newest]),
    case lists:all(fun(Other) -> accepts(Other, Newest, World) end, names(World)) of
        true when Others =/= [] ->
            Id = hd(Others),
            {Created, Begin, End} = maps:get(Id, File),
            Known = #{Id => {Created, Begin, min(End, clock(Name, World) - ?SKEW)}},
            Noted = keep(Name, (nothing())#{known := Known}, World),
            held(Name, put_file(Name, [{drop, Id}], #{}, Noted#{dropped := [{Id, Name} | Dropped]}));
        _ -> World
    end.

%% ---- files ----

keep(Name, More, World) ->
    update(Name, fun(#{kept := Kept} = Node) ->
                         {_, Core} = merlon_rotate_core:event({kept, More}, 0, merlon_rotate_core:new('', Kept)),
                         Node#{kept := merlon_rotate_core:keep(Core)}
                 end, World).

%% Whatever is written can be read again.
put_file(Name, Changes, More, #{now := Now} = World) ->
    update(Name, fun(#{file := File, got := Got} = Node) ->
                         New = maps:merge(lists:foldl(fun edit/2, File, Changes), More),
                         true = map_size(New) > 0 andalso map_size(New) =< 16,
                         true = lists:all(fun({_, Begin, End}) -> Begin >= 0 andalso Begin < End end, maps:values(New)),
                         Node#{file := New, had := maps:merge(maps:get(had, Node), New),
                              got := maps:merge(maps:map(fun(_, _) -> Now end, New), Got)}
                 end, World).

edit({drop, Id}, File) when is_map_key(Id, File) -> maps:remove(Id, File);
edit({Id, Begin, End}, File) ->
    {Created, _, _} = maps:get(Id, File),
    File#{Id := {Created, Begin, End}}.

%% ---- time ----

tick(World, Check) ->
    Now = World#{now := maps:get(now, World) + ?TICK, calm := calm(World), fresh := []},
    Linked = lists:foldl(fun link_up/2, Now, [{A, B} || A <- names(Now), B <- names(Now), A < B]),
    Ticked = lists:foldl(fun(Name, Acc) -> event(Name, {tick, never}, Acc) end, Linked, names(Linked)),
    Next = deliver(1000, Ticked),
    Check(Next),
    Next.

calm(#{loss := 0, calm := Ticks}) -> Ticks + 1;
calm(_) -> 0.

%% A link that is up stays; a new one needs an entry that both accept.
link_up({A, B}, #{links := Links} = World) ->
    case reach(A, B, World) andalso not lists:member({A, B}, Links) andalso common(A, B, World) =/= [] of
        true -> event(B, {up, A}, event(A, {up, B}, World#{links := [{A, B} | Links], fresh := [{A, B} | maps:get(fresh, World)], calm := 0}));
        false -> World
    end.

event(Name, Event, #{nodes := Nodes} = World) ->
    #{Name := #{core := Core} = Node} = Nodes,
    {Actions, Next} = merlon_rotate_core:event(Event, clock(Name, World), Core),
    lists:foldl(fun(Action, Acc) -> act(Name, Action, Acc) end, World#{nodes := Nodes#{Name := Node#{core := Next}}},
                Actions).

act(Name, {tell, Peer, Digest, Answer}, World) -> send(Name, Peer, {digest, Digest, Answer}, World);
act(Name, {want, Peer, Id, Accepts}, #{dice := Dice} = World) ->
    Asks = update(Name, fun(#{asked := Asked} = Node) -> Node#{asked := Asked#{Id => {Peer, Dice}}} end, World),
    send(Name, Peer, {want, Id, Accepts, Dice}, Asks);
act(Name, {edit, Changes}, World) -> held(Name, put_file(Name, Changes, #{}, World));
act(_Name, {nothing_in_common, _, _}, World) -> World;
act(Name, keep, #{nodes := Nodes} = World) ->
    #{Name := #{core := Core}} = Nodes,
    keep(Name, merlon_rotate_core:keep(Core), World).

send(From, To, Body, #{wires := Wires, loss := Loss, dice := Dice} = World) ->
    case linked(From, To, World) andalso erlang:phash2({Dice, Loss}, 100) >= Loss of
        true -> World#{wires := Wires ++ [{From, To, Body}], dice := Dice + 1};
        false -> World#{dice := Dice + 1}
    end.

%% An end, in case that nodes never stop telling each other.
deliver(0, _World) -> error(babble);
deliver(_Left, #{wires := []} = World) -> World;
deliver(Left, #{wires := [{From, To, Body} | Wires]} = World) ->
    deliver(Left - 1, receives(To, From, Body, World#{wires := Wires})).

receives(To, From, {digest, Digest, Answer}, World) ->
    true = merlon_rotate_core:valid(Digest),
    event(To, {digest, From, Digest, Answer}, World);
receives(To, From, {want, Id, Accepts, Nonce}, #{nodes := Nodes} = World) ->
    true = merlon_rotate_core:valid_want(Id, Accepts),
    #{To := #{core := Core}} = Nodes,
    {[Action], _} = merlon_rotate_core:event({want, From, Id, Accepts}, clock(To, World), Core),
    case Action of
        {give, From, Id, By} ->
            true = accepts(To, By, World),
            send(To, From, {give, Id, By, Nonce}, World);
        _ -> World
    end;
receives(To, From, {give, Id, By, Nonce}, #{nodes := Nodes} = World) ->
    #{To := #{asked := Asked, core := Core}} = Nodes,
    case {Asked, accepts(To, By, World)} of
        {#{Id := {From, Nonce}}, true} ->
            held(To, put_file(To, [], #{Id => merlon_rotate_core:learnt(Id, Core)}, World));
        _ -> World
    end.

%% All is well for a while.
settle(World, Check) ->
    run([heal, {loss, 0}, {wait, 15}], {World, Check}).
