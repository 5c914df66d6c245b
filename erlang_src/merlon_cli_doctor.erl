%% SPDX-License-Identifier: Apache-2.0
%% `merlon doctor`: is this host and its merlon dir ready for the carrier, and does a handshake with a node work?
-module(merlon_cli_doctor).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Says whether this host and its merlon dir are ready, and what to mend",
      argument => {optional, "NODE"},
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"},
                  {as, {text, "NAME@HOST"}, "the node to look at; by default every one of the dir"},
                  {args, {text, "FILE"}, "look at this vm.args too"},
                  {release, {text, "DIR"}, "look at this built release too"},
                  {port, {text, "PORT"}, "the port that the node is to have: N, or N-M"},
                  {cookie, {text, "FILE"}, "the file with the cookie, where there is no keyring"},
                  {emit, {one_of, merlon_doctor_emit:kinds()}, "write the lines to add there, and nothing else"},
                  {format, {one_of, [text, json]}, "text by default"}],
      details => "With NODE it also shakes hands with that node, step by step up to where the two would link, in a VM of\n"
                 "its own with the certificate of this user's tools, or with that of --as. No link is made.\n\n"
                 "Exits with 0 when nothing failed, 1 when something did, 2 when it was called wrongly."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(Options) ->
    case ports(Options) of
        {ok, Range} -> run(Options, Range);
        error -> {usage, "--port must be a port from 1 to 65535, or a range such as 9100-9110"}
    end.

run(#{emit := Kind} = Options, Range) ->
    case merlon_doctor_emit:lines(Kind, emitted(Options, Range)) of
        {ok, Text} -> {ok, Text};
        {error, Text} -> {error, {refused, Text}}
    end;
run(Options, Range) ->
    Lines = merlon_doctor:examine(asked(Options, Range)) ++ handshake(Options),
    Text = shown(maps:get(format, Options, text), Lines, to_add(emitted(Options, Range))),
    case [failed || {_, fail, _} <- Lines] of
        [] -> {ok, Text};
        _ -> {unusable, Text}
    end.

asked(Options, Range) ->
    maps:merge(maps:with([dir, as, args, release, cookie], Options), #{ports => Range, now => erlang:system_time(second)}).

emitted(Options, Range) ->
    Dir = case Options of
              #{dir := Given} -> {ok, filename:absname(Given)};
              _ -> merlon_dir:find()
          end,
    maps:merge(maps:with([as], Options), #{dir => Dir, ports => Range}).

%% For each way of packaging, or why there are none.
to_add(Facts) ->
    case [{Kind, merlon_doctor_emit:lines(Kind, Facts)} || Kind <- merlon_doctor_emit:kinds()] of
        [{_, {error, Why}} | _] -> {error, Why};
        Known -> {ok, [{Kind, unicode:characters_to_binary(Text)} || {Kind, {ok, Text}} <- Known]}
    end.

handshake(#{argument := Node} = Options) ->
    merlon_doctor_node:handshake(Node, maps:with([dir, as, cookie], Options));
handshake(_) -> [].

%% 0 stands for any.
ports(#{port := Text}) ->
    case re:run(Text, "\\A([0-9]{1,5})(?:-([0-9]{1,5}))?\\z", [{capture, all_but_first, list}]) of
        {match, [First]} -> range(list_to_integer(First), list_to_integer(First));
        {match, [First, Last]} -> range(list_to_integer(First), list_to_integer(Last));
        nomatch -> error
    end;
ports(_) -> {ok, default}.

range(First, Last) when First > 0, First =< Last, Last < 65536 -> {ok, {First, Last}};
range(_, _) -> error.

%% ---- words ----

shown(json, Lines, Added) ->
    [merlon_audit_json:encode({[{version, 1}, {failed, length([1 || {_, fail, _} <- Lines])},
                                {warned, length([1 || {_, warn, _} <- Lines])},
                                {checks, [{[{check, Check}, {status, Status}, {text, clean(Text)}]}
                                          || {Check, Status, Text} <- Lines]},
                                {lines, {[Line || {ok, Known} <- [Added], Line <- Known]}}]}), $\n];
shown(text, Lines, Added) ->
    [[string:pad(atom_to_list(Status), 6), string:pad(atom_to_list(Check), 12), clean(Text), $\n]
     || {Check, Status, Text} <- Lines] ++ [$\n, verdict(Lines), "\n\n", added(Added)].

added({ok, Known}) ->
    ["To add to the node's arguments, as they are packaged (--emit KIND writes just those lines):\n",
     [[$\n, atom_to_list(Kind), ":\n", indented(Text)] || {Kind, Text} <- Known]];
added({error, Why}) -> ["There are no lines to add: ", clean(Why), $\n].

indented(Text) -> [["    ", Line, $\n] || Line <- binary:split(Text, <<"\n">>, [global, trim])].

verdict(Lines) ->
    case {[1 || {_, fail, _} <- Lines], [1 || {_, warn, _} <- Lines]} of
        {[], []} -> "All is well.";
        {[], Warned} -> ["Nothing stands in the way; ", count(Warned, "thing"), " could be better."];
        {Failed, _} -> [count(Failed, "thing"), " must be mended."]
    end.

count([_], Thing) -> ["1 ", Thing];
count(List, Thing) -> [integer_to_list(length(List)), $\s, Thing, $s].

%% Names of files, epmd's answers and vm.args are others' words.
clean(Text) ->
    Bytes = case unicode:characters_to_binary(Text) of
                Good when is_binary(Good) -> Good;
                _ -> iolist_to_binary(io_lib:format("~0tp", [Text]))
            end,
    re:replace(Bytes, "[\\x{00}-\\x{1f}\\x{7f}-\\x{9f}\\x{200b}-\\x{200f}\\x{2028}-\\x{202e}\\x{2060}-\\x{206f}]", "?",
               [global, unicode, {return, binary}]).
