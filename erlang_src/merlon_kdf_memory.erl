%% SPDX-License-Identifier: Apache-2.0
%% How much memory there is for this VM: the machine's, or what its container may have. Linux overcommits: who takes
%% more is killed and not told.
-module(merlon_kdf_memory).

-export([total/0, parse/2]).

-define(KEY, {?MODULE, total}).
%% Where nothing is known, and where there is more than anyone needs here.
-define(MOST, 2097152).

%% KiB, 2 GiB at most. Read once; a container's limit hardly ever changes while it runs.
-spec total() -> pos_integer().
total() ->
    case persistent_term:get(?KEY, none) of
        none ->
            Total = lists:min([?MOST | lists:flatmap(fun read/1, sources())]),
            ok = persistent_term:put(?KEY, Total),
            Total;
        Total ->
            Total
    end.

%% The machine, control groups of version 2 and 1.
sources() ->
    [{meminfo, "/proc/meminfo"}, {bytes, "/sys/fs/cgroup/memory.max"},
     {bytes, "/sys/fs/cgroup/memory/memory.limit_in_bytes"}].

read({Format, File}) ->
    case prim_file:read_file(File) of
        {ok, Text} -> parse(Format, Text);
        {error, _} -> []
    end.

%% KiB; nothing if there is no limit.
-spec parse(meminfo | bytes, binary()) -> [pos_integer()].
parse(meminfo, Text) ->
    case re:run(Text, "^MemTotal: *([0-9]+) kB", [multiline, {capture, all_but_first, binary}]) of
        {match, [KiB]} -> positive(binary_to_integer(KiB));
        nomatch -> []
    end;
parse(bytes, Text) ->
    case string:to_integer(Text) of
        {Bytes, _} when is_integer(Bytes) -> positive(Bytes div 1024);
        {error, no_integer} -> []
    end.

positive(N) when N > 0 -> [N];
positive(_) -> [].
