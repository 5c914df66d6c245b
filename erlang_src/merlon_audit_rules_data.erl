%% SPDX-License-Identifier: Apache-2.0
%% Rows of merlon_audit_rules about data that comes in: terms, atoms, commands, code, files.
-module(merlon_audit_rules_data).

-export([rows/0]).

-define(OTP, <<"https://www.erlang.org/doc/system/secure_coding.html">>).
-define(SERIALISATION, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/serialisation">>).
-define(ATOMS, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/atom_exhaustion">>).

-spec rows() -> [merlon_audit_rules:row()].
rows() ->
    [#{id => unsafe_term, otp => <<"DSG-011">>, cwe => 502, severity => {note, medium, high, critical},
       title => <<"binary_to_term without safe">>,
       why => <<"The sender chooses what is built: atoms until the VM stops, funs that run when called, terms of a "
                "thousand times the bytes that came.">>,
       fix => <<"Decode within a budget:\n"
                "    {ok, Term} = merlon_term:decode(Bin)          % Merlon.Term.decode!(bin)\n"
                "or take a format that has no code in it, such as JSON.">>,
       refs => [?OTP, ?SERIALISATION]},
     #{id => executable_term, otp => <<"DSG-011">>, cwe => 502, severity => {note, low, low, medium},
       title => <<"binary_to_term with safe alone">>,
       why => <<"safe keeps new atoms out and nothing else: funs, huge terms and compressed bombs still come in.">>,
       fix => <<"Decode within a budget, which also refuses funs:\n"
                "    {ok, Term} = merlon_term:decode(Bin)          % Merlon.Term.decode!(bin)">>,
       refs => [?OTP, ?SERIALISATION]},
     #{id => zip_bomb, otp => <<"DSG-009">>, cwe => 409, severity => {note, note, medium, high},
       title => <<"Inflated without a limit">>,
       why => <<"A few KB inflate to gigabytes, all of them in one binary.">>,
       fix => <<"Inflate piece by piece and stop at a limit:\n"
                "    case zlib:safeInflate(Z, Data) of\n"
                "        {continue, Part} when Size < Max -> ...\n"
                "        {finished, Part} -> ...\n"
                "    end">>,
       refs => [?OTP, <<"https://www.erlang.org/doc/apps/erts/zlib.html#safeInflate/2">>]},
     #{id => term_store, otp => <<"DSG-011">>, cwe => 502, severity => {note, note, medium, high},
       title => <<"A stored table or backup that a parameter names">>,
       why => <<"dets, ets and mnesia files hold any term: who can choose or write the file chooses what the node "
                "believes, and its atoms.">>,
       fix => <<"Open files of your own only; bring data in from outside as JSON or through merlon_term:decode/2.">>,
       refs => [?OTP]},
     #{id => consult, otp => <<"DSG-011">>, cwe => 502, severity => {note, note, medium, high},
       title => <<"Terms read from a file that a parameter names">>,
       why => <<"file:consult makes every atom that the file has; its path decides whose file it is.">>,
       fix => <<"Read configuration from a fixed path. For data from outside:\n"
                "    {ok, Bin} = file:read_file(Path), {ok, Term} = merlon_term:decode(Bin)\n"
                "and filelib:safe_relative_path/2 for the path.">>,
       refs => [?OTP]},
     #{id => xml_atoms, otp => <<"DSG-003">>, cwe => 770, severity => {note, low, medium, high},
       title => <<"xmerl_scan on data from elsewhere">>,
       why => <<"xmerl_scan makes an atom of every name in the document and follows entities and external files.">>,
       fix => <<"Use the SAX parser with entities off:\n"
                "    xmerl_sax_parser:stream(Xml, [disallow_entities, {event_fun, F}, {event_state, S}])">>,
       refs => [?OTP]},
     #{id => xml_entities, otp => <<"DSG-006">>, cwe => 776, severity => {note, note, medium, high},
       title => <<"xmerl_sax_parser with entities">>,
       why => <<"Entities expand each other (a kilobyte becomes gigabytes) and can name local files.">>,
       fix => <<"    xmerl_sax_parser:stream(Xml, [disallow_entities | Options])">>,
       refs => [?OTP]},
     #{id => dynamic_atom, otp => <<"DSG-003">>, cwe => 770, severity => {note, low, medium, high},
       title => <<"Atoms made of data">>,
       why => <<"Atoms are never freed and the VM stops at 1,048,576 of them: whoever can send names can stop it.">>,
       fix => <<"Say which words there are:\n"
                "    mode(<<\"fast\">>) -> fast;\n"
                "    mode(<<\"safe\">>) -> safe.\n"
                "or binary_to_existing_atom/1 (String.to_existing_atom/1); JSON keys as binaries.">>,
       refs => [?OTP, ?ATOMS]},
     #{id => os_command, otp => <<"MSC-003">>, cwe => 78, severity => {note, low, high, critical},
       title => <<"A shell runs a command made of data">>,
       why => <<"The shell reads ; | $( ) and spaces in the data as commands of its own.">>,
       fix => <<"Run the program itself, arguments in a list:\n"
                "    open_port({spawn_executable, \"/usr/bin/convert\"}, [{args, [In, Out]}, exit_status])\n"
                "    System.cmd(\"convert\", [input, output])">>,
       refs => [?OTP, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/external_executables">>]},
     #{id => open_port, otp => <<"MSC-003">>, cwe => 78, severity => {note, low, high, critical},
       title => <<"open_port with {spawn, Command}">>,
       why => <<"The command line goes through a shell and PATH, and may start a driver of that name instead.">>,
       fix => <<"    open_port({spawn_executable, \"/usr/bin/tar\"}, [{args, [\"-x\", \"-f\", File]}])">>,
       refs => [?OTP]},
     #{id => program_choice, otp => <<"MSC-003">>, cwe => 426, severity => {none, none, low, critical},
       title => <<"A parameter chooses the program">>,
       why => <<"Whoever chooses the path runs any program of the host with the node's rights.">>,
       fix => <<"Map names that you know to absolute paths:\n"
                "    program(thumbnail) -> \"/usr/bin/convert\".">>,
       refs => [?OTP]},
     #{id => eval, otp => <<"DSG-006">>, cwe => 95, severity => {note, low, high, critical},
       title => <<"Code made of data">>,
       why => <<"Evaluated text can do all that the node can: read secrets, call other nodes, run programs.">>,
       fix => <<"Parse the few forms that you need and act on them; templates are compiled from files of yours:\n"
                "    EEx.function_from_file(:def, :page, \"page.eex\", [:assigns])">>,
       refs => [?OTP, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/sandboxing">>]},
     #{id => dynamic_call, otp => <<"DSG-007">>, cwe => 470, severity => {none, none, none, critical},
       title => <<"Input chooses the function that is called">>,
       why => <<"Any exported function of the node can be named, os:cmd and init:stop among them.">>,
       fix => <<"    call(<<\"list\">>, Args) -> shop:list(Args);\n"
                "    call(<<\"buy\">>, Args) -> shop:buy(Args).">>,
       refs => [?OTP]},
     #{id => native_code, otp => <<"DSG-006">>, cwe => 114, severity => {note, note, medium, critical},
       title => <<"Native code is loaded">>,
       why => <<"A NIF or driver can crash the VM and sees all of its memory; its path decides whose code that is.">>,
       fix => <<"Load from the application's own priv folder, which only root can write:\n"
                "    erlang:load_nif(filename:join(code:priv_dir(my_app), \"my_nif\"), 0)">>,
       refs => [?OTP]},
     #{id => match_spec, otp => <<"MSC-005">>, cwe => 74, severity => {none, none, none, medium},
       title => <<"Input inside a match specification">>,
       why => <<"'_' and '$1' in the data match everything: others' rows are found or deleted.">>,
       fix => <<"Wrap it, or look the key up:\n"
                "    ets:select(T, [{{'$1', '$2'}, [{'=:=', '$1', {const, Key}}], ['$2']}])\n"
                "    ets:lookup(T, Key)">>,
       refs => [?OTP]},
     #{id => public_secret, otp => <<"MSC-004">>, cwe => 732, severity => medium,
       title => <<"A public table that holds secrets">>,
       why => <<"Every process of the node can read and change a public table, shells and plug-ins too.">>,
       fix => <<"    ets:new(tokens, [private])      % or protected, owned by one process">>,
       refs => [?OTP]},
     #{id => suppression, otp => <<"-">>, cwe => 1116, severity => medium,
       title => <<"A suppression that does not hold">>,
       why => <<"It has run out, names no reason or no end, or a rule that does not exist: nobody knows why the "
                "finding is accepted.">>,
       fix => <<"    %% merlon: allow RULE until 2027-03-01 because REASON\n"
                "or mend what was found and take the comment away.">>,
       refs => []},
     #{id => unscanned, otp => <<"-">>, cwe => 1053, severity => high,
       title => <<"A file that could not be looked at">>,
       why => <<"What is in it is unknown: an audit with holes is not clean.">>,
       fix => <<"Mend the file, compile with +debug_info, or leave it out with --exclude.">>,
       refs => []}].
