%% SPDX-License-Identifier: Apache-2.0
%% Reads from a distribution frame whose signal it carries: what OTP must deliver in order is only what one
%% process sends to another (Erlang reference manual, "Delivery of Signals"; erl_dist_protocol, "Control messages").
-module(merlon_frame_core).

-export([sender/1]).
-export_type([sender/0]).

%% Number, serial and creation of the sending process, on this node.
-type sender() :: <<_:96>>.

-define(PID(Id), 88, 82, _, Id:12/binary).

%% The process that has sent this frame, as dist_ctrl_get_data gives it: dist header, control message, payload.
%% `unknown` when that can't be said, or when the frame changes the atom cache: it must then neither overtake another
%% nor be overtaken.
-spec sender([binary()]) -> {ok, sender()} | unknown.
sender([<<131, 68, 0>>, Control | _]) ->
    control(Control);
sender([<<131, 68, Refs, Rest/binary>>, Control | _]) ->
    case new_atoms(Refs, Rest) of
        true -> unknown;
        false -> control(Control)
    end;
sender(_) ->
    unknown.

%% Bit 3 of each reference's half-byte says that it brings a new atom.
new_atoms(Refs, Rest) ->
    Bytes = Refs div 2 + 1,
    case Rest of
        <<Flags:Bytes/binary, _/binary>> ->
            [] =/= [new || <<High:1, _:3, Low:1, _:3>> <= binary:part(Flags, 0, Refs div 2), High + Low > 0]
                orelse (Refs rem 2 =:= 1 andalso binary:last(Flags) band 8 =/= 0);
        _ ->
            true
    end.

control(<<104, _, 97, Op, ?PID(Id), _/binary>>) when Op =/= 2, Op =/= 7, Op =/= 31, Op =/= 32 ->
    %% LINK, EXIT, REG_SEND, MONITOR_P, SEND_SENDER, PAYLOAD_EXIT, ALIAS_SEND..: the sender comes first. Not so in
    %% GROUP_LEADER, which names the leader and not who sets it.
    {ok, Id};
control(<<104, _, 97, Op, 90, Words:16, 82, _, _:4/binary, Rest/binary>>) when Op =:= 29; Op =:= 30 ->
    Bytes = 4 * Words,
    case Rest of
        %% SPAWN_REQUEST: a reference, then the sender.
        <<_:Bytes/binary, ?PID(Id), _/binary>> -> {ok, Id};
        _ -> unknown
    end;
control(<<104, _, 97, Op, Rest/binary>>) when Op =:= 35; Op =:= 36 ->
    %% UNLINK_ID, UNLINK_ID_ACK: a number, then the sender.
    case Rest of
        <<97, _, ?PID(Id), _/binary>> -> {ok, Id};
        <<98, _:32, ?PID(Id), _/binary>> -> {ok, Id};
        <<110, Size, _, _:Size/binary, ?PID(Id), _/binary>> -> {ok, Id};
        _ -> unknown
    end;
control(_) ->
    unknown.
