%% SPDX-License-Identifier: Apache-2.0
%% Bombs: a few bytes that binary_to_term makes much of. Refused without memory, in time linear to the bytes.
-module(merlon_term_bomb_tests).

-include_lib("eunit/include/eunit.hrl").
-export([keep_bombs/0, measure/1]).

%% What the system may give the VM meanwhile for other reasons.
-define(SLACK, 4 * 1024 * 1024).

%% ---- memory ----

%% In a VM of its own: what others leave behind in this one does not count.
refused_without_memory_test_() ->
    {setup, fun start/0, fun({Peer, _}) -> peer:stop(Peer) end,
     fun({Peer, Names}) ->
         [{Name, {timeout, 60, fun() -> refused_without_memory(Peer, At) end}}
          || {At, Name} <- lists:zip(lists:seq(1, length(Names)), Names)]
     end}.

start() ->
    Paths = [filename:dirname(code:which(Module)) || Module <- [merlon_term, ?MODULE]],
    {ok, Peer, _Node} = peer:start(#{connection => standard_io, args => ["-pa" | Paths]}),
    {Peer, peer:call(Peer, ?MODULE, keep_bombs, [], 60000)}.

keep_bombs() ->
    Bombs = bombs(),
    ok = persistent_term:put(?MODULE, Bombs),
    _ = merlon_term:decode(<<131, 106>>),
    [Name || {Name, _, _, _} <- Bombs].

refused_without_memory(Peer, At) ->
    {Refused, Expected, Peak, Total} = peer:call(Peer, ?MODULE, measure, [At], 60000),
    ?assertEqual(Expected, Refused),
    ?assertEqual([], [More || More <- [Peak, Total], More >= ?SLACK]).

measure(At) ->
    {_, Bin, Budget, Why} = lists:nth(At, persistent_term:get(?MODULE)),
    erlang:garbage_collect(),
    {Before, Total} = {peak(reset), erlang:memory(total)},
    Refused = merlon_term:decode(Bin, Budget),
    {After, TotalAfter} = {peak(keep), erlang:memory(total)},
    {Refused, {error, {term, Why}}, After - Before, TotalAfter - Total}.

bombs() ->
    Zeros = zip_bomb(),
    true = byte_size(Zeros) < 210000,
    [{"204 KB that inflate to 210 MB", Zeros, #{}, {over, inflated, 16#400000}},
     {"the same, larger budget, small claim", claim(Zeros, 1000), #{binary => infinity}, {malformed, inflated_size, 1000}},
     {"a claim that would be kept", claim(Zeros, 1000000, 999995), #{}, {malformed, inflated_size, 1000000}},
     {"a claim that is less than half of it", claim(Zeros, 100000000, 99999995), #{inflated => infinity, binary => infinity},
      {malformed, inflated_size, 100000000}},
     {"a list bomb of 10 KB", list_bomb(10000000), #{inflated => infinity}, {over, terms, 200000}},
     {"tuples in each other, a million", nested(1000000), #{bytes => infinity, terms => infinity}, {over, depth, 200}},
     {"lists in each other's tails", tails(1000000), #{bytes => infinity, terms => infinity}, {over, depth, 200}},
     {"empty lists, side by side", side_by_side(800000), (open())#{terms => 200000}, {over, terms, 200000}},
     {"a string's characters", iolist_to_binary([131, 104, 16, lists:duplicate(16, <<107, 65000:16, 0:520000>>)]), #{},
      {over, terms, 200000}}]
        ++ [{lists:flatten(io_lib:format("a claim of ~0tp", [Head])), <<131, Head/binary, 0:80>>, open(), {malformed, cut, At}}
            || {Head, At} <- [{<<105, -1:32>>, 6}, {<<108, -1:32>>, 6}, {<<116, -1:32>>, 6}, {<<109, -1:32>>, 16},
                              {<<77, -1:32, 8>>, 17}, {<<111, -1:32, 0>>, 17}, {<<107, -1:16>>, 14}, {<<100, 255:16>>, 14}]]
        ++ [{"a bignum of 1 MB", <<131, 111, 1000000:32, 0, -1:8000000>>, #{}, {over, bignum, 512}},
            {"a claim to inflate to 4 GB", <<131, 80, -1:32, (zlib:compress(<<106>>))/binary>>, #{}, {over, inflated, 16#400000}},
            {"the same, allowed", <<131, 80, -1:32, (zlib:compress(<<106>>))/binary>>, open(), {malformed, trailing, 16#FFFFFFFE}}].

%% The same things without budget: so it is the budget that keeps them out, and they are real.
the_bombs_are_real_test_() ->
    {timeout, 120, fun() ->
        ?assertEqual(210000000, byte_size(binary_to_term(zip_bomb()))),
        ?assertEqual(1000000, length(binary_to_term(list_bomb(1000000)))),
        ?assertMatch({ok, {{{_}}}}, merlon_term:decode(nested(1000000), open())),
        ?assertMatch({ok, [_ | _]}, merlon_term:decode(list_bomb(1000000), open()))
    end}.

%% ---- time ----

time_is_linear_test_() ->
    [{Name, {timeout, 60, fun() -> linear(Make, Budget) end}}
     || {Name, Make, Budget} <- [{"depth", fun nested/1, (open())#{depth => 100}},
                                 {"depth, to the end", fun nested/1, (open())#{terms => infinity, depth => infinity}},
                                 {"tails", fun tails/1, open()},
                                 {"width", fun side_by_side/1, open()},
                                 {"maps in each other", fun maps_in_maps/1, open()},
                                 {"the same atom", fun same_atom/1, open()},
                                 {"inflated", fun list_bomb/1, open()}]].

%% Eight times the bytes take no more than twenty times the time, and a byte no more than 200 ns. What is not linear
%% never does; what is does in one of five tries, whatever else this machine has to do.
linear(Make, Budget) -> linear(Make(100000), Make(800000), Budget, 5).

linear(Short, Long, Budget, Tries) ->
    {A, B} = {scan_time(Short, Budget), scan_time(Long, Budget)},
    case B < 20 * max(A, 2000) andalso B < 800000 * 8 div 5 of
        true -> ok;
        false when Tries =:= 1 -> error({not_linear, A, B});
        false -> linear(Short, Long, Budget, Tries - 1)
    end.

scan_time(Bin, Budget) ->
    lists:min([element(1, timer:tc(merlon_term, scan, [Bin, Budget])) || _ <- lists:seq(1, 3)]).

%% ---- what they are made of ----

zip_bomb() ->
    Deflate = zlib:open(),
    ok = zlib:deflateInit(Deflate, 9),
    Zip = [zlib:deflate(Deflate, <<109, 210000000:32>>),
           [zlib:deflate(Deflate, <<0:8000000>>) || _ <- lists:seq(1, 210)], zlib:deflate(Deflate, [], finish)],
    zlib:close(Deflate),
    iolist_to_binary([131, 80, <<210000005:32>>, Zip]).

%% Another claim for the whole.
claim(<<131, 80, _:32, Zip/binary>>, Claimed) -> <<131, 80, Claimed:32, Zip/binary>>.

%% And one that the binary inside agrees with.
claim(_Bomb, Claimed, Inner) ->
    Deflate = zlib:open(),
    ok = zlib:deflateInit(Deflate, 9),
    Zip = [zlib:deflate(Deflate, <<109, Inner:32>>),
           [zlib:deflate(Deflate, <<0:8000000>>) || _ <- lists:seq(1, 210)], zlib:deflate(Deflate, [], finish)],
    zlib:close(Deflate),
    iolist_to_binary([131, 80, <<Claimed:32>>, Zip]).

list_bomb(N) ->
    Inner = iolist_to_binary([108, <<N:32>>, binary:copy(<<106>>, N), 106]),
    <<131, 80, (byte_size(Inner)):32, (zlib:compress(Inner))/binary>>.

nested(N) -> iolist_to_binary([131, binary:copy(<<104, 1>>, N), 106]).

tails(N) -> iolist_to_binary([131, binary:copy(<<108, 1:32, 106>>, N), 106]).

side_by_side(N) -> iolist_to_binary([131, 108, <<N:32>>, binary:copy(<<106>>, N), 106]).

maps_in_maps(N) -> iolist_to_binary([131, binary:copy(<<116, 1:32, 97, 1>>, N), 106]).

same_atom(N) -> iolist_to_binary([131, 108, <<N:32>>, binary:copy(<<119, 4, "true">>, N), 106]).

%% ---- the most memory that this VM ever had since the reset, from the system ----

peak(What) -> peak(What, os:type()).

peak(reset, {unix, linux}) ->
    ok = file:write_file("/proc/self/clear_refs", "5"),
    peak(keep);
peak(keep, {unix, linux}) ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kilobytes]} = re:run(Status, "VmHWM:\\s+([0-9]+) kB", [{capture, all_but_first, list}]),
    list_to_integer(Kilobytes) * 1024;
%% Other systems do not say: there the VM's own count, before and after, has to do.
peak(_, _) -> 0.

% A function: newer compilers warn of a literal that is updated.
open() -> #{bytes => infinity, inflated => infinity, terms => infinity, depth => infinity, binary => infinity, bignum => infinity}.
