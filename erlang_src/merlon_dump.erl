%% SPDX-License-Identifier: Apache-2.0
%% What a core file of this VM would show: the keys of live links, of certificates, of the keyring. Linux
%% can be told to leave a process's memory out of its core files (core(5)); the signal, the registers
%% and the names of what was loaded stay in.
-module(merlon_dump).

-export([secure/1, mask/1]).

-define(FILTER, <<"/proc/self/coredump_filter">>).
%% ELF headers, and what files have: no anonymous memory, private, shared or huge.
-define(KEPT, 16#1c).

%% Once, while the node starts. Where there is no such filter it does nothing.
-spec secure(#{core_files := without_memory | whole, _ => _}) -> ok | left.
secure(#{core_files := whole}) -> left;
secure(#{core_files := without_memory}) ->
    case prim_file:read_file(?FILTER) of
        {ok, Text} -> write(mask(Text));
        {error, _} -> left
    end.

%% The filter that keeps no more than what is harmless.
-spec mask(binary()) -> binary().
mask(Text) ->
    Now = binary_to_integer(string:trim(Text), 16),
    <<"0x", (integer_to_binary(Now band ?KEPT, 16))/binary>>.

write(Mask) ->
    case prim_file:open(?FILTER, [write, raw, binary]) of
        {ok, File} ->
            Written = prim_file:write(File, Mask),
            _ = prim_file:close(File),
            case Written of
                ok -> ok;
                {error, _} -> left
            end;
        {error, _} -> left
    end.
