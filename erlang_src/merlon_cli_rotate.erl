%% SPDX-License-Identifier: Apache-2.0
%% `merlon rotate secret`: a new keyring entry in place of all others, or how far the last rotation is. `merlon rotate ca`
%% is merlon_cli_rotate_ca's.
-module(merlon_cli_rotate).
-behaviour(merlon_cli).

-export([spec/0, run/1, seconds/3]).

-define(DAY, 86400).
-define(SKEW, 300).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Rotates what a cluster is built on: its secret, or the root of its certificates",
      argument => {required, "secret|ca"},
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"},
                  {grace, {text, "TIME"}, "how long nodes that are away can come back: 24h (default), 90m, 7d, 30s"},
                  {skew, {text, "TIME"}, "how far the nodes' clocks may be apart; default 5m"},
                  {wait, {text, "TIME"}, "of a root: how long to wait for nodes; default 10m"},
                  {until, {one_of, [trust, issue]}, "of a root: end when all nodes have reached that stage"},
                  {without, {many, "NODE"}, "of a root: don't wait for that node; may be repeated"},
                  {force, flag, "of a root: don't wait for nodes that are not linked"},
                  {rollback, flag, "of a root: back to the old one"},
                  {anew, flag, "of a root: begin another one, as that of the last run is lost for good"},
                  {days, days, "of a root: how long the new one is valid; default 3650"},
                  {status, flag, "say how far the last rotation is"}],
      details => "secret: a new keyring entry takes the place of all others.\n"
                 "Run it in the merlon dir of one node that runs. Within 5 seconds the node takes the new entry and\n"
                 "spreads it over its links; when all known nodes have it, or after 10 minutes, it is preferred; after\n"
                 "the grace the old ones are not accepted any more. Links stay up. `merlon keyring` says who has what.\n\n"
                 "ca: a new root takes the place of the old one. Run it where the CA is and a node runs. All nodes\n"
                 "trust both (trust), get certificates of the new one (issue), drop the old one (finish); each stage\n"
                 "waits for all. Cut off anywhere, it goes on when it is run again. Links stay up."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := "ca"} = Options) ->
    case [Key || Key <- [grace, skew], is_map_key(Key, Options)] of
        [] -> merlon_cli_rotate_ca:run(Options);
        [Key | _] -> {usage, ["--", atom_to_list(Key), " is of `rotate secret`"]}
    end;
run(#{argument := "secret"} = Options) when is_map_key(wait, Options); is_map_key(until, Options); is_map_key(without, Options);
                                            is_map_key(force, Options); is_map_key(rollback, Options); is_map_key(anew, Options); is_map_key(days, Options) ->
    {usage, "--wait, --until, --without, --force, --rollback, --anew and --days are of `rotate ca`"};
run(#{argument := "secret", status := true} = Options) when not is_map_key(grace, Options), not is_map_key(skew, Options) ->
    in_dir(Options, fun status/2);
run(#{argument := "secret", status := true}) ->
    {usage, "--status goes with --dir only"};
run(#{argument := "secret"} = Options) ->
    case {seconds(Options, grace, ?DAY), seconds(Options, skew, ?SKEW)} of
        {{ok, Grace}, {ok, Skew}} ->
            in_dir(Options, fun(Dir, Now) -> rotate(Dir, Now, #{grace => Grace, skew => Skew}) end);
        {{error, Text}, _} -> {usage, Text};
        {_, {error, Text}} -> {usage, Text}
    end;
run(#{argument := Word}) ->
    {usage, ["what is to be rotated must be secret or ca, not ", Word]}.

in_dir(Options, Command) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} -> in_dir(merlon_cli_keyring:provider(Dir), Dir, Command);
        {error, _} = Error -> Error
    end.

in_dir(none, Dir, Command) -> Command(Dir, erlang:system_time(second));
in_dir(#{secret := Provider}, _Dir, _Command) -> {error, {rotate, {provider, merlon_secrets:name(Provider)}}}.

-spec seconds(merlon_cli_args:options(), atom(), non_neg_integer()) -> {ok, non_neg_integer()} | {error, iodata()}.
seconds(Options, Key, Default) ->
    case Options of
        #{Key := Text} -> seconds(Key, string:to_integer(Text));
        #{} -> {ok, Default}
    end.

seconds(_Key, {0, ""}) -> {ok, 0};
seconds(Key, {Count, [Unit]}) when is_integer(Count), Count >= 0, Count =< 365 * ?DAY ->
    case lists:keyfind(Unit, 1, [{$d, ?DAY}, {$h, 3600}, {$m, 60}, {$s, 1}]) of
        {Unit, Seconds} when Count * Seconds =< 365 * ?DAY -> {ok, Count * Seconds};
        _ -> seconds(Key, bad)
    end;
seconds(Key, _) ->
    {error, ["--", atom_to_list(Key), " must be a time of at most a year such as 24h, 90m, 7d or 30s"]}.

rotate(Dir, Now, Opts) ->
    case merlon_keyring:read(Dir) of
        {ok, none} -> {error, {rotate, no_keyring}};
        {ok, Entries} -> made(merlon_rotate_files:make(Dir, Entries, Opts, merlon_rotate_files:kept(Dir)), Dir, Now, Opts);
        {error, _} = Error -> Error
    end.

made({ok, Id}, Dir, Now, #{grace := Grace, skew := Skew}) ->
    {ok, ["Added ", Id, " to ", merlon_keyring:file(Dir), ".\n"
          "A node of this merlon dir that runs spreads it within 5 seconds. The entries before it end at ",
          merlon_keyring_core:time_text(Now + min(600, Grace div 4) + Grace + Skew), " at the latest.\n"
          "`merlon rotate secret --status` says how far it is.\n"]};
made({error, _} = Error, _Dir, _Now, _Opts) -> Error.

%% ---- status ----

status(Dir, Now) ->
    case merlon_keyring:read(Dir) of
        {ok, none} -> {error, {rotate, no_keyring}};
        {ok, Entries} ->
            #{peers := Peers} = merlon_rotate_files:kept(Dir),
            {ok, said(merlon_rotate_core:phase(Entries, Now), Entries, Peers, Now)};
        {error, _} = Error -> Error
    end.

said(none, _Entries, _Peers, _Now) ->
    "No entry is accepted any more: `merlon keyring --new`, and copy the file to every node.\n";
said({Phase, Id}, Entries, Peers, Now) ->
    Having = [Node || {Node, #{has := Has}} <- maps:to_list(Peers), lists:member(Id, Has)],
    [phase(Phase, Id, Entries, Now),
     io_lib:format("~b of ~b other nodes have said that they have it.\n", [length(Having), map_size(Peers)]),
     [["Not yet: ", atom_to_binary(Node), $\n] || Node <- lists:sort(maps:keys(Peers) -- Having)]].

phase(spreading, Id, Entries, _Now) ->
    [#{not_before := Begin}] = [Entry || #{id := Found} = Entry <- Entries, Found =:= Id],
    ["Phase 1 of 3: entry ", Id, " spreads; it is preferred when all known nodes have it, or at ", time(Begin), ".\n"];
phase(grace, Id, Entries, Now) ->
    Ends = [End || #{not_after := End} <- Entries, is_integer(End), End > Now],
    ["Phase 2 of 3: entry ", Id, " is preferred; the last one before it is accepted until ", time(lists:max(Ends)), ".\n"];
phase(done, Id, _Entries, _Now) ->
    ["No rotation is under way: entry ", Id, " is preferred, and no other one ends.\n"].

time(Time) -> merlon_keyring_core:time_text(Time).
