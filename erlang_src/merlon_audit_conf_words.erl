%% SPDX-License-Identifier: Apache-2.0
%% Words as a shell or `erl -args_file` reads them, each with its line, and the emulator's flags among them. All readers of
%% configuration give items of this one form.
-module(merlon_audit_conf_words).

-export([split/2, split_args/1, outside/2, flags/2, command/2, env/3, value/1, is_elsewhere/1]).
-export_type([item/0, word/0, scope/0]).

-type word() :: {pos_integer(), binary()}.
%% Flags of one scope go to one VM; those of two environment variables too, but of one variable only the last value does.
-type scope() :: file | {env, binary()} | {command, pos_integer()}.
-type item() ::
        {flag, pos_integer(), Name :: binary(), [word()], scope()} |
        {env, pos_integer(), Name :: binary(), binary() | reference} |
        {port, pos_integer(), 0..65535} |             % that others reach
        {image, pos_integer(), binary()} |            % what a container is made from
        {otp, pos_integer(), binary()} |              % a version of OTP
        {app, binary(), Version :: binary()} |        % an application of OTP in a built release
        {setting, Line :: pos_integer(), atom(), term()} | % kernel's, as far as looked at
        {cookie, pos_integer(), binary()} |           % one that stands in a text
        {kept, pos_integer(), Cookie :: binary()} |   % one that is in a file of its own
        {found, pos_integer(), merlon_audit_rules:id(), What :: binary()} |
        {cert, pos_integer(), merlon_pki:info()}.

%% Programs that take the emulator's flags.
-define(PROGRAMS, [<<"erl">>, <<"iex">>, <<"elixir">>, <<"werl">>, <<"erlexec">>, <<"beam.smp">>, <<"run_erl">>]).
%% Variables that start scripts keep their name in.
-define(NAMED, "^\\$\\{?(REL_EXEC|ERL|ERLEXEC|ERL_EXEC|IEX|ELIXIR|EXEC)\\}?$").
%% Variables that hold them.
-define(FLAGS, [<<"ERL_FLAGS">>, <<"ERL_AFLAGS">>, <<"ERL_ZFLAGS">>, <<"ERL_OPTIONS">>, <<"ELIXIR_ERL_OPTIONS">>,
                <<"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS">>, <<"RABBITMQ_SERVER_ERL_ARGS">>, <<"SERVER_ERL_ARGS">>,
                <<"SERVER_ADDITIONAL_ERL_ARGS">>, <<"RABBITMQ_CTL_ERL_ARGS">>, <<"CTL_ERL_ARGS">>]).

%% A command line: quotes taken away, # begins a comment at the start of a word.
-spec split(binary(), pos_integer()) -> [word()].
split(Text, Line) -> words(Text, Line, []).

%% An args_file.
-spec split_args(binary()) -> [word()].
split_args(Text) -> words(Text, 1, []).

words(<<$\n, Rest/binary>>, Line, Acc) -> words(Rest, Line + 1, Acc);
words(<<$\\, $\n, Rest/binary>>, Line, Acc) -> words(Rest, Line + 1, Acc);
words(<<C, Rest/binary>>, Line, Acc) when C =:= $\s; C =:= $\t; C =:= $\r -> words(Rest, Line, Acc);
words(<<$#, Rest/binary>>, Line, Acc) -> words(after_line(Rest), Line, Acc);
words(<<"<%", _/binary>> = Text, Line, Acc) -> template(Text, Line, Acc);
words(<<>>, _Line, Acc) -> lists:reverse(Acc);
words(Text, Line, Acc) ->
    {Word, Rest, Next} = word(Text, Line, none, <<>>),
    words(Rest, Next, [{Line, Word} | Acc]).

after_line(Text) ->
    case binary:match(Text, <<"\n">>) of
        {At, 1} -> binary:part(Text, At, byte_size(Text) - At);
        nomatch -> <<>>
    end.

%% <%= of EEx %> is a word of which nothing is known, <% code %> and <%# comments %> are none.
template(Text, Line, Acc) ->
    case binary:split(Text, <<"%>">>) of
        [Code, Rest] ->
            Next = Line + length(binary:matches(Code, <<"\n">>)),
            case Code of
                <<"<%=", _/binary>> ->
                    {Tail, After, Last} = word(Rest, Next, none, <<>>),
                    words(After, Last, [{Line, <<"<%= %>", Tail/binary>>} | Acc]);
                _ -> words(Rest, Next, Acc)
            end;
        [_] -> lists:reverse(Acc)
    end.

word(<<$\\, $\n, Rest/binary>>, Line, Quote, Word) when Quote =/= $' -> word(Rest, Line + 1, Quote, Word);
word(<<$\\, C, Rest/binary>>, Line, Quote, Word) when Quote =/= $' -> word(Rest, Line, Quote, <<Word/binary, C>>);
word(<<Quote, Rest/binary>>, Line, Quote, Word) -> word(Rest, Line, none, Word);
word(<<C, Rest/binary>>, Line, none, Word) when C =:= $"; C =:= $' -> word(Rest, Line, C, Word);
word(<<C, _/binary>> = Rest, Line, none, Word) when C =:= $\s; C =:= $\t; C =:= $\n; C =:= $\r -> {Word, Rest, Line};
word(<<"<%=", Rest/binary>>, Line, Quote, Word) ->
    case binary:split(Rest, <<"%>">>) of
        [_, After] -> word(After, Line, Quote, <<Word/binary, "<%= %>">>);
        [_] -> {Word, <<>>, Line}
    end;
word(<<C, Rest/binary>>, Line, Quote, Word) ->
    word(Rest, if C =:= $\n -> Line + 1; true -> Line end, Quote, <<Word/binary, C>>);
word(<<>>, Line, _Quote, Word) -> {Word, <<>>, Line}.

%% The parts of a text between separators that are not inside quotes.
-spec outside(binary(), [binary()]) -> [binary()].
outside(Text, Separators) -> outside(Text, 0, none, Text, Separators).

outside(Whole, At, Quote, Text, Separators) ->
    case Text of
        <<C, Rest/binary>> when C =:= Quote -> outside(Whole, At + 1, none, Rest, Separators);
        <<C, Rest/binary>> when Quote =:= none, C =:= $" orelse C =:= $' -> outside(Whole, At + 1, C, Rest, Separators);
        <<>> -> [Whole];
        <<_, Rest/binary>> ->
            case Quote =:= none andalso [S || S <- Separators, is_next(S, Text)] of
                [Separator | _] ->
                    Next = binary:part(Text, byte_size(Separator), byte_size(Text) - byte_size(Separator)),
                    [binary:part(Whole, 0, At) | outside(Next, 0, none, Next, Separators)];
                _ -> outside(Whole, At + 1, Quote, Rest, Separators)
            end
    end.

is_next(Separator, Text) -> binary:longest_common_prefix([Separator, Text]) =:= byte_size(Separator).

%% Each flag with the words up to the next.
-spec flags([word()], scope()) -> [item()].
flags([{Line, <<C, _, _/binary>> = Name} | Words], Scope) when C =:= $-; C =:= $+ ->
    {Args, Rest} = lists:splitwith(fun({_, Word}) -> not is_flag(Word) end, Words),
    [{flag, Line, plain(Name), Args, Scope} | flags(Rest, Scope)];
flags([_ | Words], Scope) -> flags(Words, Scope);
flags([], _Scope) -> [].

is_flag(<<$-, C, _/binary>>) -> not (C >= $0 andalso C =< $9);
is_flag(<<$+, _, _/binary>>) -> true;
is_flag(_) -> false.

%% Elixir's programs have the same flags with two dashes.
plain(<<"--name">>) -> <<"-name">>;
plain(<<"--sname">>) -> <<"-sname">>;
plain(<<"--cookie">>) -> <<"-setcookie">>;
plain(<<"--remsh">>) -> <<"-remsh">>;
plain(Name) -> Name.

%% What a command line says: flags behind a program that takes them (find has a -name as well), epmd, limits.
-spec command([word()], pos_integer()) -> [item()].
command(Words, Line) ->
    case lists:dropwhile(fun({_, Word}) -> not is_program(filename:basename(Word)) end, Words) of
        [_ | Args] -> flags(lists:flatmap(fun inner/1, Args), {command, Line});
        [] -> []
    end ++ epmd(Words) ++ limits(Words).

is_program(Name) -> lists:member(Name, ?PROGRAMS) orelse re:run(Name, ?NAMED, [{capture, none}]) =:= match.

%% elixir --erl "-proto_dist merlon" has flags inside a word.
inner({Line, <<$-, _/binary>> = Word}) ->
    case binary:match(Word, <<" ">>) of
        nomatch -> [{Line, Word}];
        _ -> split(Word, Line)
    end;
inner(Word) -> [Word].

epmd(Words) ->
    case lists:dropwhile(fun({_, Word}) -> filename:basename(Word) =/= <<"epmd">> end, Words) of
        [{Line, _} | Args] ->
            Given = [Word || {_, Word} <- Args],
            Starts = lists:member(<<"-daemon">>, Given) orelse Given =:= [],
            [{found, Line, epmd_open, <<"epmd without -address">>}
             || Starts, not lists:member(<<"-address">>, Given)];
        [] -> []
    end.

%% -c alone, or with -S and -H beside it or in one word; other limits may stand before and behind it.
limits([{Line, <<"ulimit">>} | Words]) ->
    {Given, Rest} = lists:splitwith(fun({_, Word}) -> Word =/= <<"ulimit">> end, Words),
    Text = iolist_to_binary([[$\s, Word] || {_, Word} <- Given]),
    [{found, Line, core_dump, <<"ulimit -c unlimited">>}
     || re:run(Text, " -[SH]*c[SH]*(?: -[SH]+)* unlimited\\b", [{capture, none}]) =:= match] ++ limits(Rest);
limits([_ | Words]) -> limits(Words);
limits([]) -> [].

%% An environment variable, and the flags that it holds.
-spec env(pos_integer(), binary(), binary()) -> [item()].
env(Line, Name, Given) ->
    Value = value(Given),
    [{env, Line, Name, Value} |
     case lists:member(Name, ?FLAGS) of
         true -> flags(split(Given, Line), {env, Name});
         false -> []
     end].

%% What comes from elsewhere is a reference; the default in ${NAME:-default} stands there.
-spec value(binary()) -> binary() | reference.
value(Given) ->
    case re:run(Given, "^\\$\\{[A-Za-z_0-9]+:?[-=]([^$}]+)\\}$", [{capture, [1], binary}]) of
        {match, [Default]} -> unquoted(Default);
        nomatch ->
            case is_elsewhere(Given) of
                true -> reference;
                false -> Given
            end
    end.

unquoted(<<Q, Rest/binary>>) when Q =:= $"; Q =:= $' -> string:trim(Rest, trailing, [Q]);
unquoted(Text) -> Text.

-spec is_elsewhere(binary()) -> boolean().
is_elsewhere(<<>>) -> true;
is_elsewhere(Text) ->
    binary:match(Text, [<<"$">>, <<"{{">>, <<"<%">>, <<"`">>]) =/= nomatch
        orelse re:run(Text, "^<[A-Za-z _-]+>$|^@[A-Z_]+@$", [{capture, none}]) =:= match.
