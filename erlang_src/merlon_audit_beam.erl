%% SPDX-License-Identifier: Apache-2.0
%% Code from a BEAM file: the abstract code or Elixir's definitions in its debug information, after macros and imports.
%% Nothing of the file is loaded. Its terms are decoded within a budget, and no module that it names is called.
-module(merlon_audit_beam).

-export([read/2, format_error/1]).
-export_type([reason/0]).

-type reason() :: not_a_beam | no_debug_info | encrypted | {debug_info, term()}.

%% The unit, and where its source was when it was compiled. NewAtoms may be made.
-spec read(binary(), NewAtoms :: non_neg_integer()) ->
          {ok, merlon_audit_flow:unit()} | {error, {beam, reason()}}.
read(<<"FOR1", _:32, "BEAM", Chunks/binary>>, NewAtoms) ->
    case {chunk(<<"Dbgi">>, Chunks), chunk(<<"Abst">>, Chunks)} of
        {{ok, Bin}, _} -> debug_info(decoded(Bin, NewAtoms));
        {none, {ok, <<>>}} -> {error, {beam, no_debug_info}};
        {none, {ok, Bin}} -> abstract(decoded(Bin, NewAtoms));
        {none, none} -> {error, {beam, no_debug_info}}
    end;
read(_, _) -> {error, {beam, not_a_beam}}.

chunk(Id, <<Id:4/binary, Size:32, Bin:Size/binary, _/binary>>) -> {ok, Bin};
chunk(Id, <<_:32, Size:32, Rest/binary>>) ->
    case Rest of
        <<_:Size/binary, Tail/binary>> -> chunk(Id, padded(Size, Tail));
        _ -> none
    end;
chunk(_, _) -> none.

padded(Size, Tail) ->
    Padding = (4 - Size rem 4) rem 4,
    case Tail of
        <<_:Padding/binary, Rest/binary>> -> Rest;
        _ -> <<>>
    end.

%% What debug information may be; the largest of OTP's has a tenth of it.
decoded(Bin, NewAtoms) ->
    merlon_term:decode(Bin, #{bytes => 16#4000000, inflated => 16#10000000, terms => 40000000, depth => 1000000,
                              binary => 16#4000000, bignum => 16#10000, range => infinity, new_atoms => NewAtoms}).

debug_info({ok, {debug_info_v1, erl_abstract_code, {Forms, _Options}}}) when is_list(Forms) ->
    {ok, merlon_audit_code:unit(Forms)};
debug_info({ok, {debug_info_v1, erl_abstract_code, {none, _}}}) -> {error, {beam, no_debug_info}};
debug_info({ok, {debug_info_v1, elixir_erl, {elixir_v1, #{definitions := _} = Map, _Specs}}}) ->
    merlon_audit_ex:definitions(Map);
debug_info({ok, {debug_info_v1, _, none}}) -> {error, {beam, no_debug_info}};
debug_info({ok, {debug_info_v1, _, {none, _}}}) -> {error, {beam, no_debug_info}};
debug_info({ok, {debug_info_v1, Backend, _}}) -> {error, {beam, {debug_info, Backend}}};
debug_info({ok, _}) -> {error, {beam, encrypted}};
debug_info({error, Reason}) -> {error, {beam, {debug_info, Reason}}}.

abstract({ok, {raw_abstract_v1, Forms}}) when is_list(Forms) -> {ok, merlon_audit_code:unit(Forms)};
abstract({ok, _}) -> {error, {beam, encrypted}};
abstract({error, Reason}) -> {error, {beam, {debug_info, Reason}}}.

-spec format_error(reason()) -> iodata().
format_error(not_a_beam) -> "no BEAM file, or a compressed one: compile it again";
format_error(no_debug_info) -> "it has no debug information: compile with +debug_info, or scan its source";
format_error(encrypted) -> "its debug information is encrypted: compile without a debug_info_key, or scan its source";
format_error({debug_info, Backend}) when is_atom(Backend) ->
    ["its debug information is of ", atom_to_binary(Backend), ", which is not known here: scan its source"];
format_error({debug_info, Reason}) ->
    ["its debug information can't be taken: ", merlon_term:format_error(Reason)].
