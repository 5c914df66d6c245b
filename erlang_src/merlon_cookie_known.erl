%% SPDX-License-Identifier: Apache-2.0
%% Cookies that everyone knows: what guides, examples and images come with. One word a line, in
%% lower case; compared without regard to case. Add what you meet.
-module(merlon_cookie_known).

-export([is_known/1, count/0, lowercase/1]).

-spec is_known(Cookie :: binary()) -> boolean().
is_known(Cookie) ->
    lists:member(lowercase(Cookie), words()).

-spec count() -> pos_integer().
count() -> length(words()).

%% Of ASCII letters. string:lowercase/1 fails on what is not UTF-8, and its stack trace shows the cookie.
-spec lowercase(binary()) -> binary().
lowercase(Text) -> << <<(lower(C))>> || <<C>> <= Text >>.

lower(C) when C >= $A, C =< $Z -> C + 32;
lower(C) -> C.

words() ->
    [<<"cookie">>,
     <<"secret">>,
     <<"secretcookie">>,
     <<"secret_cookie">>,
     <<"supersecret">>,
     <<"mysecret">>,
     <<"mycookie">>,
     <<"my_cookie">>,
     <<"monster">>,            % CouchDB, older releases
     <<"erlang">>,
     <<"elixir">>,
     <<"erlangcookie">>,
     <<"erlang_cookie">>,
     <<"changeme">>,
     <<"change_me">>,
     <<"password">>,
     <<"test">>,
     <<"test_cookie">>,
     <<"dev">>,
     <<"default">>,
     <<"nocookie">>,           % OTP: no cookie
     <<"rabbitmq">>,
     <<"rabbit">>,
     <<"rabbitmq_cookie">>,
     <<"secretrabbit">>,
     <<"ejabberd">>,
     <<"riak">>,               % Riak's vm.args
     <<"emqxsecretcookie">>,   % EMQX
     <<"emqx_dist_cookie">>,
     <<"emq_dist_cookie">>,
     <<"vmq">>,                % VerneMQ
     <<"vernemq">>,
     <<"couchdb">>,
     <<"brumbrum">>,
     <<"mongooseim">>,
     <<"abc">>,
     <<"abc123">>,
     <<"12345">>,
     <<"123456">>].
