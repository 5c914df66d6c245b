%% SPDX-License-Identifier: Apache-2.0
%% `merlon rotate ca`: a new root in the place of the old one, while a node of this merlon dir tells the others. What
%% was done is in the dir's files, so that a run that was cut off anywhere is gone on with by the next one.
-module(merlon_cli_rotate_ca).

-export([run/1]).

-define(DAYS, 3650).
%% Milliseconds between two questions.
-define(PAUSE, 500).
%% How often the dir is tried to be locked; each takes part of a second.
-define(TRIES, 20).

-record(run, {dir :: string(), way :: merlon_roots_core:way(), deadline :: integer(), options :: merlon_cli_args:options(),
              told = none :: term(), seen = none :: merlon_roots_core:phase()}).

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{rollback := true, until := _}) ->
    {usage, "--until goes forwards only, and --rollback goes back to the end"};
run(#{rollback := true, anew := true}) ->
    {usage, "--anew goes forwards: what is lost can't be taken back"};
run(Options) ->
    case {merlon_cli_cert:dir(Options), merlon_cli_rotate:seconds(Options, wait, 600)} of
        {{ok, Dir}, {ok, Wait}} -> in_dir(Dir, Wait, Options);
        {{error, _} = Error, _} -> Error;
        {_, {error, Text}} -> {usage, Text}
    end.

in_dir(Dir, Wait, Options) ->
    case {merlon_cli_cert:ca(Dir), Options} of
        {{error, _} = Error, _} -> no_ca(Dir, Error);
        {{ok, _}, #{status := true}} -> status(Dir, Options);
        {{ok, _}, _} ->
            Way = case Options of
                      #{rollback := true} -> rollback;
                      #{anew := true} -> anew;
                      #{} -> forward
                  end,
            Deadline = erlang:monotonic_time(millisecond) + Wait * 1000,
            swept(sweep(Dir, Way), #run{dir = Dir, way = Way, deadline = Deadline, options = Options})
    end.

%% To make a CA would be bad advice where there is a cluster already.
no_ca(Dir, {error, {refused, _}} = Error) ->
    Has = fun(Name) -> merlon_dir:exists(merlon_dir:path([Dir, Name])) end,
    case {Has("trust"), Has("keyring")} of
        {true, _} ->
            {error, {refused, [merlon_dir:path([Dir, "ca"]), " has no CA's certificate and key: run this where they are. A certificate "
                               "authority of another kind rotates its own root (docs/guides/identity.md, A new root, by hand)"]}};
        {false, true} ->
            {error, {refused, [merlon_dir:path([Dir]), " has a secret and no CA, so there is no root to rotate: `merlon rotate secret`"]}};
        {false, false} -> Error
    end;
no_ca(_Dir, Error) -> Error.

%% What one that was killed just before its end, or just after its begin, has left. In a dir that is locked it is certain
%% that no other run has just begun.
sweep(Dir, Way) ->
    _ = merlon_dir_write:make(merlon_roots_files:folder(Dir), 8#755),
    case merlon_ca_files:rotation(Dir) of
        Over when Over =:= none; Over =:= ending -> locked(Dir, fun(Work) -> sweep(merlon_ca_files:rotation(Dir), Way, Dir, Work) end);
        _ -> {begun, ok}
    end.

%% What is lost for good is not waited for (`anew`).
sweep(none, Way, Dir, Work) ->
    case {Way =/= anew andalso merlon_ca_files:is_said(Dir), merlon_ca_files:others(Dir)} of
        {true, _} -> sign_lost(Dir);
        {false, []} -> {none, merlon_ca_files:clean(Dir, Work)};
        {false, [File | _]} -> {error, {refused, [File, " is of no rotation, and would be removed by one: move it away"]}}
    end;
sweep(ending, Way, Dir, Work) ->
    case merlon_ca_files:mend(Dir, Work) of
        ending -> {ending, merlon_ca_files:clean(Dir, Work)};
        ok -> {begun, ok};
        {lost, _} when Way =:= anew -> {none, merlon_ca_files:clean(Dir, Work)};
        {lost, File} -> gone(File);
        {error, _} = Error -> Error
    end;
sweep(_Begun, _Way, _Dir, _Work) -> {begun, ok}.

swept({ending, ok}, _Run) -> {ok, "The last rotation is ended: what was left of it is removed.\n"};
%% One that was there and has ended since is not followed by another.
swept({begun, ok}, Run) -> go(Run#run{seen = prepared});
swept({none, ok}, Run) -> go(Run);
swept({_, {error, _} = Error}, _Run) -> Error;
swept({error, _} = Error, _Run) -> Error.

go(#run{dir = Dir, way = Way} = Run) ->
    case state(Dir, Way) of
        {ok, none, none} when Run#run.seen =/= none -> {ok, "Another run of this command has ended the rotation.\n"};
        {ok, Phase, Rotation} ->
            step(merlon_roots_core:next(Way, {Phase, issuing(Rotation)}), Rotation, Run#run{seen = Phase});
        {error, _} = Error -> Error
    end.

issuing(none) -> old;
issuing(#{issuing := Issuing}) -> Issuing.

%% How far it is, by the files.
state(Dir, Way) ->
    case merlon_ca_files:rotation(Dir) of
        none -> {ok, none, none};
        ending -> ending(merlon_ca_files:midway(Dir), merlon_ca_files:restorable(Dir));
        {ok, #{old := #{id := Old}, new := #{id := New}} = Rotation} ->
            {ok, merlon_roots_core:phase(Way, Old, New, [Said || {_, Said} <- merlon_roots_files:statements(Dir)]), Rotation};
        {error, _} = Error -> Error
    end.

ending([], _) -> {ok, none, none};
ending([File | _] = Missing, Restorable) ->
    case Missing -- Restorable of
        [] -> {error, {refused, ["a rotation is under way, and ", File, " is not there: `merlon rotate ca` puts it back, with --rollback too"]}};
        [Lost | _] -> gone(Lost)
    end.

sign_lost(Dir) ->
    {error, {refused, ["nodes were told of a rotation of this root, and ", merlon_dir:path([Dir, "ca", "next.pem"]),
                       " is not there: put it back, or go on where it was begun", merlon_rotate_ca_text:lost()]}}.

gone(File) -> {error, {refused, ["a rotation is under way, and ", File, " is gone: put it back", merlon_rotate_ca_text:lost()]}}.

%% ---- one step after the other ----

step(prepare, _, Run) -> stepped(prepare(Run), Run);
step({await, Stage}, Rotation, Run) -> await(Stage, Rotation, Run);
step({refuse, Why}, _Rotation, _Run) -> {error, {refused, merlon_rotate_ca_text:refusal(Why)}};
step(clean, Rotation, Run) -> cleaned(do(clean, Rotation, Run), Rotation, Run);
step(Step, Rotation, Run) -> stepped(do(Step, Rotation, Run), Run).

stepped(ok, Run) -> go(Run);
stepped(moved, Run) -> go(Run);
stepped({error, _} = Error, _Run) -> Error.

prepare(#run{dir = Dir, options = Options}) ->
    case {merlon_cli_cert:ca(Dir), merlon_config:load(Dir)} of
        {{ok, #{ca_cert := Cert} = Ca}, {ok, #{cluster := Cluster}}} ->
            case merlon_nif:pki_new_ca(#{cluster => Cluster, alg => alg(Cert), now => now_s(),
                                         days => maps:get(days, Options, ?DAYS)}) of
                {ok, New} ->
                    locked(Dir, fun(Work) -> unless_begun(Dir, Work, Ca, New) end);
                {error, _} = Error -> Error
            end;
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% Another run may have been faster, or even be done: then this is another CA.
unless_begun(Dir, Work, Ca, New) ->
    case {merlon_ca_files:rotation(Dir), merlon_cli_cert:ca(Dir)} of
        {none, {ok, Ca}} -> if_trusted(Dir, Work, Ca, New);
        {{ok, _}, _} -> ok;
        {{error, _} = Error, _} -> Error;
        _ -> {error, {refused, "the CA has changed just now, or a rotation has ended: look at it with --status, and run this again"}}
    end.

%% The nodes believe a root that they trust. One that was rotated out, in a copy of its CA, leads to no other.
if_trusted(Dir, Work, #{ca_cert := Cert} = Ca, New) ->
    case {merlon_roots_files:roots(Dir), merlon_identity:inspect(Cert)} of
        {{ok, Roots}, {ok, [#{sha256 := Id, not_after := End} | _]}} ->
            case End > now_s() of
                true -> begun(lists:member(Id, Roots), Dir, Work, Ca, New);
                false -> {error, {refused, [merlon_dir:path([Dir, "ca", "ca.pem"]), " has run out on ", merlon_text:date(End),
                                            ": no node believes it any more (docs/guides/identity.md, A new root, by hand)"]}}
            end;
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

begun(true, Dir, Work, Ca, New) ->
    say("Prepared a new root.", []),
    merlon_ca_files:begin_with(Dir, Work, Ca, New);
begun(false, Dir, _Work, _Ca, _New) ->
    {error, {refused, [merlon_dir:path([Dir, "ca", "ca.pem"]), " is no root that is trusted here (", merlon_dir:path([Dir, "trust"]),
                       "): if it was rotated elsewhere, copy ca/ from there; if it is an intermediate CA's, rotate the root where that is"]}}.

alg(Cert) ->
    {ok, [#{key_alg := Alg} | _]} = merlon_identity:inspect(Cert),
    merlon_renew_core:alg(Alg).

%% `moved`: another run has done something meanwhile, and nothing was done.
do(Step, Rotation, #run{dir = Dir, way = Way, seen = Seen}) ->
    locked(Dir, fun(Work) ->
                    case state(Dir, Way) of
                        {ok, Seen, #{issuing := Issuing} = Now} ->
                            Same = ids(Now) =:= ids(Rotation) andalso merlon_roots_core:holds(Step, {Seen, Issuing}),
                            done(Same, Step, Seen, Now, Dir, Work);
                        {ok, _, _} -> moved;
                        {error, _} = Error -> Error
                    end
                end).

ids(#{old := #{id := Old}, new := #{id := New}}) -> {Old, New}.

done(false, _Step, _Seen, _Rotation, _Dir, _Work) -> moved;
%% One that was cut off: tokens made since name the right root.
done(true, {issue_by, Which}, _Seen, #{issuing := Which}, _Dir, _Work) -> ok;
done(true, {issue_by, Which}, _Seen, Rotation, Dir, Work) ->
    #{cert := Cert} = Root = maps:get(Which, Rotation),
    {ok, [#{not_after := End} | _]} = merlon_identity:inspect(Cert),
    case End > now_s() of
        true ->
            ok = void_tokens(Dir),
            merlon_ca_files:issue_by(Dir, Work, Root);
        false -> {error, {refused, ["the ", atom_to_binary(Which), " root has run out on ", merlon_text:date(End), " and can't issue: go the other way"]}}
    end;
done(true, {say, finish}, _Seen, Rotation, Dir, Work) -> stated(finish, Rotation, Dir, Work);
done(true, {say, Stage}, _Seen, #{old := #{id := Old}} = Rotation, Dir, Work) ->
    case merlon_roots_files:roots(Dir) of
        {ok, Roots} -> if_believed(lists:member(Old, Roots), Stage, Rotation, Dir, Work);
        {error, _} = Error -> Error
    end;
%% That nobody was told is known by a statement that is not there: the files of trust/ are asked as well.
done(true, clean, prepared, #{new := #{id := New}}, Dir, Work) ->
    case merlon_roots_files:roots(Dir) of
        {ok, Roots} -> unless_told(lists:member(New, Roots), Dir, Work);
        {error, _} = Error -> Error
    end;
done(true, clean, _Seen, _Rotation, Dir, Work) -> merlon_ca_files:clean(Dir, Work).

if_believed(true, Stage, Rotation, Dir, Work) -> stated(Stage, Rotation, Dir, Work);
if_believed(false, _Stage, _Rotation, _Dir, _Work) -> {error, {refused, merlon_rotate_ca_text:refusal(too_late)}}.

unless_told(false, Dir, Work) -> merlon_ca_files:clean(Dir, Work);
unless_told(true, _Dir, _Work) -> {error, {refused, merlon_rotate_ca_text:refusal(unsaid)}}.

%% Nodes of the dir work in it meanwhile, each for a moment.
locked(Dir, Change) -> locked(Dir, Change, ?TRIES).

locked(Dir, Change, Tries) ->
    case merlon_dir_write:locked(merlon_dir:path([Dir]), fun(Work) -> {done, Change(Work)} end) of
        {done, Result} -> Result;
        {error, {refused, _}} when Tries > 1 -> locked(Dir, Change, Tries - 1);
        {error, _} = Error -> Error
    end.

%% Numbers are times, so that they rise even if what is known here was lost.
stated(Stage, #{old := #{id := Id} = Old, new := #{id := NewId} = New}, Dir, Work) ->
    case merlon_config:load(Dir) of
        {ok, #{cluster := Cluster}} ->
            Number = max(merlon_roots_files:sequence(Dir, Id) + 1, now_s()),
            case rotation_say(Cluster, Number, Stage, Old, New) of
                {ok, Text} ->
                    say("~ts.", [merlon_rotate_ca_text:saying(Stage)]),
                    merlon_roots_files:keep(Dir, Work, #{old => Id, new => NewId}, Text);
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

%% A stacktrace would hold the keys.
rotation_say(Cluster, Number, Stage, #{cert := OldCert, key := OldKey}, #{cert := NewCert, key := NewKey}) ->
    try merlon_nif:rotation_say(#{cluster => Cluster, sequence => Number, stage => Stage, old_cert => OldCert,
                                  old_key => OldKey, new_cert => NewCert, new_key => NewKey})
    catch error:_ -> {error, {pki, crypto}}
    end.

%% A token pins the root by which it was made.
void_tokens(Dir) ->
    case [Id || {open, #{id := Id}} <- merlon_token:list(Dir)] of
        [] -> ok;
        Ids ->
            _ = [merlon_token:revoke(Dir, Id) || Id <- Ids],
            say("~b join tokens name the root that issues no more, and are revoked: make new ones with `merlon token`.",
                [length(Ids)])
    end.

cleaned(ok, _Rotation, #run{way = rollback, dir = Dir}) ->
    {ok, ["The rotation is rolled back; the old root stays, the new one is gone.\n", tools(Dir)]};
cleaned(ok, #{old := #{id := Old}, new := #{id := New}}, #run{dir = Dir}) ->
    {ok, ["The root is rotated.\n\n  new  ", New, "\n  old  ", Old, "\n\n", tools(Dir),
          "The key of the old root is deleted. Copies of ", merlon_dir:path([Dir, "trust"]), " elsewhere are out of date.\n"]};
cleaned(moved, _Rotation, Run) -> go(Run);
cleaned({error, _} = Error, _Rotation, _Run) -> Error.

%% They ask nobody for certificates.
tools(Dir) ->
    case merlon_issued:all(merlon_dir:path([Dir])) of
        {ok, Entries} ->
            Subject = subject(Dir),
            case lists:usort([Name || #{kind := cli, name := Name, not_after := End, issuer := Issuer} <- Entries,
                                      End >= now_s(), Issuer =/= Subject]) of
                [] -> "";
                Names -> ["Tools that need another certificate (`merlon cert --cli USER HOST --force`): ",
                          lists:join(", ", Names), "\n"]
            end;
        {error, _} -> ""
    end.

subject(Dir) ->
    case merlon_cli_cert:ca(Dir) of
        {ok, #{ca_cert := Cert}} ->
            {ok, [#{subject := Subject} | _]} = merlon_identity:inspect(Cert),
            Subject;
        {error, _} -> none
    end.

%% ---- waiting for all ----

await(Stage, Rotation, #run{dir = Dir, options = Options, deadline = Deadline} = Run) ->
    case missing(Stage, Rotation, Dir, Options) of
        {ok, []} -> reached(Stage, Rotation, Run);
        {ok, Missing} ->
            case erlang:monotonic_time(millisecond) < Deadline of
                true ->
                    Told = tell(Stage, Missing, Run),
                    timer:sleep(?PAUSE),
                    await_still(state(Dir, Run#run.way), Stage, Rotation, Told);
                false -> {error, {refused, [merlon_rotate_ca_text:who(Stage, Missing), merlon_rotate_ca_text:advice(Stage, Missing)]}}
            end;
        {error, _} = Error -> Error
    end.

%% Another run, here or at a copy of the CA, may have said something else meanwhile.
await_still({ok, Seen, _}, Stage, Rotation, #run{seen = Seen} = Run) -> await(Stage, Rotation, Run);
await_still(_, _Stage, _Rotation, Run) -> go(Run).

reached(Stage, Rotation, #run{options = #{until := Until}} = Run) ->
    case merlon_roots_core:is_beyond(Stage, Until) of
        true -> {ok, ["All nodes have reached stage ", atom_to_binary(Stage), ". Run this without --until to go on.\n"]};
        false -> steps(merlon_roots_core:then(Stage), Rotation, Run)
    end;
reached(Stage, Rotation, Run) ->
    steps(merlon_roots_core:then(Stage), Rotation, Run).

steps([clean], Rotation, Run) -> step(clean, Rotation, Run);
steps([], _Rotation, Run) -> go(Run);
steps([Step | Steps], Rotation, Run) ->
    case do(Step, Rotation, Run) of
        ok -> steps(Steps, Rotation, Run);
        moved -> go(Run);
        {error, _} = Error -> Error
    end.

tell(Stage, Missing, #run{told = Before} = Run) ->
    Now = {Stage, Missing},
    _ = Now =:= Before orelse say("~ts", [merlon_rotate_ca_text:who(Stage, Missing)]),
    Run#run{told = Now}.

missing(Stage, Rotation, Dir, Options) ->
    case {merlon_rotate_ca_ask:live(Stage, Rotation, Dir), merlon_rotate_ca_ask:expected(Rotation, Dir)} of
        {{ok, Live}, {ok, Expected}} ->
            Missing = merlon_roots_core:missing(Stage, Live, Expected, without(Options)),
            {ok, forced(Missing, Options)};
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% Those who are on their way are waited for all the same.
forced(Missing, #{force := true}) -> [Found || {_, Where} = Found <- Missing, Where =/= away];
forced(Missing, _Options) -> Missing.

without(Options) -> [unicode:characters_to_binary(Node) || Node <- maps:get(without, Options, [])].

%% ---- status ----

status(Dir, Options) ->
    case state(Dir, rollback) of % which stage it is in, whatever is to be done
        {ok, none, none} -> none_here(merlon_ca_files:is_said(Dir) andalso merlon_ca_files:rotation(Dir) =:= none, Dir);
        {ok, prepared, _} -> {ok, "A new root is prepared, and no node has been told of it.\n"};
        {ok, Stage, Rotation} -> status(Stage, Rotation, Dir, Options);
        {error, _} = Error -> Error
    end.

none_here(true, Dir) -> sign_lost(Dir);
none_here(false, _Dir) -> {ok, "No rotation of the root is under way.\n"}.

status(Stage, #{old := #{id := Old}, new := #{id := New}} = Rotation, Dir, Options) ->
    case {merlon_rotate_ca_ask:live(Stage, Rotation, Dir), merlon_rotate_ca_ask:expected(Rotation, Dir)} of
        {{ok, Live}, {ok, Expected}} ->
            Missing = merlon_roots_core:missing(Stage, Live, Expected, without(Options)),
            Rows = maps:merge(Live, maps:from_list(Missing)),
            {ok, [merlon_rotate_ca_text:saying(Stage), ".\n\n  new  ", New, "\n  old  ", Old, "\n\n",
                  [["  ", Node, "  ", merlon_rotate_ca_text:where(Stage, Where), $\n] || {Node, Where} <- lists:sort(maps:to_list(Rows))],
                  [["\n", merlon_rotate_ca_text:who(Stage, Missing), "\n"] || Missing =/= []],
                  ["\nAll have reached it.\n" || Missing =:= []]]};
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

now_s() -> erlang:system_time(second).

say(Format, Arguments) -> io:put_chars(unicode:characters_to_binary([io_lib:format(Format, Arguments), $\n])).
