%% SPDX-License-Identifier: Apache-2.0
%% Words for what goes wrong with providers of secrets: what happened, and what to do.
-module(merlon_secrets_text).

-export([words/1, text/1]).

%% A text of merlon.config as bytes: not empty, nothing that ends a line or a name early.
-spec text(term()) -> {ok, binary()} | error.
text(Value) when is_binary(Value); is_list(Value) ->
    try unicode:characters_to_binary(Value) of
        <<_, _/binary>> = Text ->
            case re:run(Text, "[\\x00-\\x1f\\x7f]", [{capture, none}]) of
                nomatch -> {ok, Text};
                match -> error
            end;
        _ -> error
    catch error:badarg -> error
    end;
text(_) -> error.

-spec words(merlon_secrets:fault()) -> iodata().
words({words, Words}) -> Words;
words({fetch, #{code := file, path := Path, why := Why}}) -> [Path, " ", file(Why, Path)];
words({fetch, #{code := program, why := Why}}) -> ["the program ", program(Why)];
words({fetch, #{code := connect, why := Why}}) -> ["the server is not reached (", atom_to_list(Why), "); is the address right?"];
words({fetch, #{code := tls, why := Why}}) -> tls(Why);
words({fetch, #{code := status, step := Step, status := Status} = Fault}) -> status(Step, Status, Fault);
words({fetch, #{code := malformed, step := Step}}) ->
    ["the answer to the ", atom_to_list(Step), " is not what it should be; is the address right?"];
words({fetch, #{code := missing_option, option := Name}}) -> missing(Name);
words({fetch, #{code := bad_url, option := Name}}) ->
    [atom_to_list(Name), " must be https://HOST, optionally with :PORT and /PATH"];
words({fetch, #{code := plaintext, option := Name}}) ->
    [atom_to_list(Name), " must begin with https: over http everybody on the way could read the secret (only this machine "
     "itself may be asked so)"];
words({fetch, #{code := no_variable, variable := Name}}) ->
    ["the environment variable ", Name, " is not set: set it for this node's start"];
words({fetch, #{code := no_field, field := Name}}) -> ["the secret has no text ", Name, ": store the keyring under that name"];
words({fetch, #{code := bad_key, path := Path}}) -> [Path, " is no key file of a service account: download it again"];
words({fetch, #{code := exit_status, status := Status}}) ->
    ["it ended with status ", integer_to_list(Status), ": run it by hand, with an empty environment, to see why"];
words({fetch, #{code := signal, signal := Signal}}) -> ["signal ", integer_to_list(Signal), " ended it: run it by hand to see why"];
words({fetch, #{code := Code}}) -> code(Code).

code(no_credentials_directory) ->
    "$CREDENTIALS_DIRECTORY is not set: start the node as a systemd unit with LoadCredential=";
code(no_credentials) ->
    "there are no AWS credentials, neither in the environment nor of a web identity or an instance: say where with "
    "{credentials, ...} or {access_key_id, ...}";
code(host_not_found) -> "the name of the host has no address: is it right, does DNS work here?";
code(timeout) -> "no answer in time";
code(not_http) -> "what answers is no HTTP server: is the address right?";
code(too_large) -> "it gives more than a keyring can be: is it the right one?";
code(redirected) -> "the server sends us elsewhere, where the secret is not sent for: set the address that it names";
code(store_checksum) -> "the value has another checksum than the store says: store it again";
code(empty) -> "it gives nothing".

file(enoent, _) -> "does not exist";
file(eacces, _) -> "may not be read by the user who runs the node";
file(too_open, Path) ->
    ["is a secret, but others than its owner may use it: chmod 600 ", Path, " (in Kubernetes: defaultMode 0400, or 0440 with fsGroup)"];
file(not_a_file, _) -> "is not a regular file";
file(too_big, _) -> "is larger than a keyring can be";
file(empty, _) -> "is empty";
file(no_certificate, _) -> "holds no certificate in PEM";
file(Why, _) -> ["can't be read (", atom_to_list(Why), ")"].

program(not_absolute) -> "must be given with its absolute path";
program(enoent) -> "does not exist";
program(not_executable) -> "is not executable: chmod 700";
program(too_open) -> "can be changed by others than its owner, who could take the secret: chmod go-w";
program(no_status) -> "ends without anybody knowing how: let nothing in this VM ignore SIGCHLD or wait for all children";
program(not_a_file) -> "is not a regular file";
program(Why) -> ["can't be run (", atom_to_list(Why), ")"].

tls(unknown_issuer) -> "the server's certificate is of a CA that is not trusted: give that CA's certificate with {ca, \"/PATH\"}";
tls(wrong_name) -> "the server's certificate is for another name: use the name that is in it";
tls(expired) -> "the server's certificate has expired, or this machine's clock is wrong";
tls(not_yet_valid) -> "the server's certificate is not valid yet, or this machine's clock is wrong";
tls(bad_certificate) ->
    "the server's certificate can't be used: give the server one that a CA has issued, with the server's name as a subject alternative name";
tls(no_roots) -> "this system has no file of trusted CAs: install ca-certificates, or give one with {ca, \"/PATH\"}";
tls(_) -> "no TLS with the server: is it the right port?".

missing(token) -> "no way to log in: set token, role_id with secret_id, or role";
missing(region) -> "no region: set {region, ...} or AWS_REGION";
missing(Name) -> [atom_to_list(Name), " is not set"].

status(Step, Status, Fault) ->
    Reason = case Fault of
                 #{why := Why} -> [", ", atom_to_list(Why)];
                 _ -> ""
             end,
    ["the server refuses the ", atom_to_list(Step), " (status ", integer_to_list(Status), Reason, ")", advice(Step, Status, Fault)].

advice(_, _, #{why := 'ResourceNotFoundException'}) -> ": is the secret's name right, and the region?";
advice(login, Status, _) when Status >= 400, Status < 500 -> ": are the credentials and their role right?";
advice(read, 404, _) -> ": is there a secret of that name, and its newest version not deleted?";
advice(read, Status, _) when Status =:= 401; Status =:= 403 -> ": may this identity read it?";
advice(_, 503, _) -> ": is it sealed or starting?";
advice(_, _, _) -> "".
