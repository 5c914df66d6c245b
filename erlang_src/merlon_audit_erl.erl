%% SPDX-License-Identifier: Apache-2.0
%% Code from an Erlang source, where there is no BEAM file of it: scanned, its own macros and those of the headers beside
%% it replaced, both branches of every -ifdef taken, each form parsed by itself. Nothing is compiled, no parse transform
%% runs, and no file outside of what the caller's Read allows is opened.
-module(merlon_audit_erl).

-export([parse/3]).
-export_type([read/0]).

%% A file of the tree, if it is one and its atoms have room (merlon_audit_atoms).
-type read() :: fun((file:filename()) -> {ok, binary()} | {error, term()}).
-type fault() :: {pos_integer(), scan | parse}.

%% Tokens of one form after its macros: what expands to more is not parsed.
-define(TOKENS, 500000).
-define(INCLUDES, 200).

-record(st, {macros = #{}, forms = [], faults = [], included = #{}, file, read, module = none}).

%% The unit, and lines that could not be understood.
-spec parse(file:filename(), binary(), read()) -> {ok, merlon_audit_flow:unit(), [fault()]}.
parse(File, Text, Read) ->
    St = source(File, Text, #st{file = File, read = Read, included = #{File => true}}),
    {ok, called(merlon_audit_code:unit(lists:reverse(St#st.forms))), lists:reverse(St#st.faults)}.

%% A header by itself: who includes it may call all of it.
called(#{module := none} = Unit) -> Unit#{exports := all};
called(Unit) -> Unit.

source(File, Text, St) ->
    Entered = add({attribute, 1, file, {File, 1}}, St#st{file = File}),
    forms(characters(Text), 1, Entered).

%% As epp does: UTF-8 unless the bytes are none.
characters(Text) ->
    case unicode:characters_to_list(Text) of
        Characters when is_list(Characters) -> Characters;
        _ -> binary_to_list(Text)
    end.

forms(Text, Line, St) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because merlon_audit_atoms has counted the words of the text before
    case erl_scan:tokens([], Text, Line) of
        {done, {ok, Tokens, Next}, Rest} -> next(Rest, Next, form(Tokens, St));
        {done, {eof, _}, _} -> St;
        {done, {error, _, Next}, Rest} ->
            {After, Lines} = skipped(Rest),
            next(After, Next + Lines, fault(Line, scan, St));
        %% merlon: allow dynamic_atom until 2027-11-30 because merlon_audit_atoms has counted the words of the text before
        {more, Continuation} -> last(erl_scan:tokens(Continuation, eof, Line), Line, St)
    end.

next(eof, _Line, St) -> St;
next(Rest, Line, St) -> forms(Rest, Line, St).

last({done, {ok, Tokens, _}, _}, _Line, St) -> form(Tokens, St);
last({done, {eof, _}, _}, _Line, St) -> St;
last(_, Line, St) -> fault(Line, scan, St).

%% After an error goes on with the next line that may begin a form.
skipped(eof) -> {eof, 0};
skipped(Rest) ->
    case string:split(Rest, ".\n") of
        [Before, After] -> {After, 1 + length([$\n || $\n <- Before])};
        [_] -> {eof, 0}
    end.

fault(Line, What, #st{faults = Faults} = St) -> St#st{faults = [{max(1, Line), What} | Faults]}.

add(Form, #st{forms = Forms} = St) -> St#st{forms = [Form | Forms]}.

%% ---- forms ----

form([{'-', _}, {atom, _, Name}, {'(', _} | Tokens], St) when Name =:= define; Name =:= include;
                                                              Name =:= include_lib; Name =:= undef ->
    directive(Name, Tokens, St);
form([{'-', _}, {atom, _, Name} | _], St) when Name =:= ifdef; Name =:= ifndef; Name =:= 'else'; Name =:= endif;
                                               Name =:= elif; Name =:= error; Name =:= warning; Name =:= feature;
                                               Name =:= record; Name =:= type; Name =:= nominal; Name =:= spec; Name =:= opaque;
                                               Name =:= callback; Name =:= doc; Name =:= moduledoc -> St;
form([{'-', _}, {'if', _} | _], St) -> St;
form([{'-', _}, {'else', _} | _], St) -> St;
form([First | _] = Tokens, St) ->
    case expanded(Tokens, St) of
        {ok, Plain} -> parsed(erl_parse:parse_form(Plain), line(First), St);
        error -> fault(line(First), parse, St)
    end;
form([], St) -> St.

parsed({ok, {attribute, _, module, Module} = Form}, _Line, St) when is_atom(Module) ->
    add(Form, St#st{module = Module});
parsed({ok, Form}, _Line, St) -> add(Form, St);
parsed({error, _}, Line, St) -> fault(Line, parse, St).

line(Token) -> merlon_audit_expr:line(element(2, Token)).

directive(define, [{Kind, _, Name}, {',', _} | Body], #st{macros = Macros} = St) when Kind =:= atom; Kind =:= var ->
    St#st{macros = Macros#{Name => {none, ending(Body)}}};
directive(define, [{Kind, _, Name}, {'(', _} | Rest], #st{macros = Macros} = St) when Kind =:= atom; Kind =:= var ->
    case parameters(Rest, []) of
        {ok, Parameters, Body} -> St#st{macros = Macros#{{Name, length(Parameters)} => {Parameters, ending(Body)}}};
        error -> St
    end;
directive(include, [{string, Anno, Name} | _], St) -> include(Name, Anno, St);
directive(include_lib, [{string, Anno, Name} | _], St) -> include(filename:basename(Name), Anno, St);
directive(_, _, St) -> St.

parameters([{')', _}, {',', _} | Body], Names) -> {ok, lists:reverse(Names), Body};
parameters([{var, _, Name} | Rest], Names) -> parameters(Rest, [Name | Names]);
parameters([{',', _} | Rest], Names) -> parameters(Rest, Names);
parameters(_, _) -> error.

%% Without the parenthesis and dot at the end.
ending(Body) ->
    case lists:reverse(Body) of
        [{dot, _}, {')', _} | Reversed] -> lists:reverse(Reversed);
        _ -> Body
    end.

%% Headers beside the source or in ../include; others are not needed to find calls.
include(Name, _Anno, #st{file = File, read = Read, included = Included} = St)
  when map_size(Included) < ?INCLUDES ->
    Folder = filename:dirname(File),
    Places = [filename:join([Folder | Way] ++ [Name]) || Way <- [[], ["..", "include"], ["include"], ["..", "src"]]],
    case [Place || Place <- Places, not is_map_key(Place, Included)] of
        [] -> St;
        New -> included(New, File, Read, St)
    end;
include(_, _, St) -> St.

included([], _File, _Read, St) -> St;
included([Place | Places], File, Read, #st{included = Included} = St) ->
    case Read(Place) of
        {ok, Text} ->
            After = source(Place, Text, St#st{included = Included#{Place => true}}),
            add({attribute, 1, file, {File, 1}}, After#st{file = File});
        {error, _} -> included(Places, File, Read, St)
    end.

%% ---- macros ----

expanded(Tokens, St) ->
    case expand(Tokens, [], [], ?TOKENS, St) of
        {ok, Reversed, _} -> {ok, lists:reverse(Reversed)};
        error -> error
    end.

%% Open are the macros that are being replaced: one inside itself stays as it is.
expand([], Done, _Open, Fuel, _St) -> {ok, Done, Fuel};
expand(_, _Done, _Open, Fuel, _St) when Fuel =< 0 -> error;
expand([{'?', _}, {'?', _}, {var, Anno, Name} | Rest], Done, Open, Fuel, St) ->
    expand(Rest, [{string, Anno, atom_to_list(Name)} | Done], Open, Fuel - 1, St);
expand([{'?', _}, {Kind, Anno, Name} | Rest], Done, Open, Fuel, St) when Kind =:= atom; Kind =:= var ->
    {Tokens, Key, After} = macro(Name, Anno, Rest, Open, St),
    case expand(Tokens, Done, [Key | Open], Fuel - 1, St) of
        {ok, More, Left} -> expand(After, More, Open, Left, St);
        error -> error
    end;
expand([Token | Rest], Done, Open, Fuel, St) -> expand(Rest, [Token | Done], Open, Fuel - 1, St).

macro('MODULE', Anno, Rest, _Open, #st{module = Module}) -> {[{atom, Anno, Module}], none, Rest};
macro('LINE', Anno, Rest, _Open, _St) -> {[{integer, Anno, merlon_audit_expr:line(Anno)}], none, Rest};
macro('FILE', Anno, Rest, _Open, _St) -> {[{string, Anno, "file"}], none, Rest};
macro(Name, Anno, [{'(', _} | Inside] = Rest, Open, #st{macros = Macros} = St) ->
    {Args, After} = arguments(Inside),
    Key = {Name, length(Args)},
    case lists:member(Key, Open) of
        false when is_map_key(Key, Macros) ->
            {Parameters, Body} = maps:get(Key, Macros),
            {replaced(Body, maps:from_list(lists:zip(Parameters, Args)), Anno), Key, After};
        _ -> plain(Name, Anno, Rest, Open, St)
    end;
macro(Name, Anno, Rest, Open, St) -> plain(Name, Anno, Rest, Open, St).

%% A macro that is not known here stands as a variable of its name, or as a call.
plain(Name, Anno, Rest, Open, #st{macros = Macros}) ->
    case {Macros, lists:member(Name, Open), Rest} of
        {#{Name := {none, Body}}, false, _} -> {moved(Body, Anno), Name, Rest};
        {_, _, [{'(', _} | _]} -> {[{atom, Anno, Name}], none, Rest};
        _ -> {[{var, Anno, Name}], none, Rest}
    end.

replaced(Body, Args, Anno) ->
    lists:flatmap(fun({var, _, Name} = Token) -> maps:get(Name, Args, moved([Token], Anno));
                     (Token) -> moved([Token], Anno)
                  end, Body).

%% To where the macro is used.
moved(Tokens, Anno) -> [setelement(2, Token, Anno) || Token <- Tokens].

%% Up to the closing parenthesis, split at the commas that are not inside others.
arguments([{')', _} | Rest]) -> {[], Rest};
arguments(Tokens) -> arguments(Tokens, 0, [], []).

arguments([{')', _} | Rest], 0, Arg, Args) -> {lists:reverse([lists:reverse(Arg) | Args]), Rest};
arguments([{',', _} | Rest], 0, Arg, Args) -> arguments(Rest, 0, [], [lists:reverse(Arg) | Args]);
arguments([{'fun', _} = Fun, {'(', _} = Open | Rest], Depth, Arg, Args) ->
    arguments(Rest, Depth + 2, [Open, Fun | Arg], Args);
arguments([Token | Rest], Depth, Arg, Args) -> arguments(Rest, depth(element(1, Token), Depth), [Token | Arg], Args);
arguments([], _Depth, _Arg, Args) -> {lists:reverse(Args), []}.

depth(Open, Depth) when Open =:= '('; Open =:= '['; Open =:= '{'; Open =:= '<<'; Open =:= 'begin'; Open =:= 'case';
                        Open =:= 'if'; Open =:= 'receive'; Open =:= 'try' -> Depth + 1;
depth(Close, Depth) when Close =:= ')'; Close =:= ']'; Close =:= '}'; Close =:= '>>'; Close =:= 'end' -> Depth - 1;
depth(_, Depth) -> Depth.
