#!/bin/sh
#! cookie_literal high, cookie_weak critical
export RELEASE_COOKIE=monster
#! cookie_env low
export RELEASE_COOKIE="$(cat /run/secrets/cookie)"
# Tricky: defaults of the shell.
#! cookie_literal high, cookie_weak critical
: "${RELEASE_COOKIE:=changeme}"
#! cookie_literal high, cookie_weak critical
[ -n "$X" ] || export RABBITMQ_ERLANG_COOKIE="${RABBITMQ_ERLANG_COOKIE:-rabbit}"
#! cookie_literal high
echo -n "q7Vd0ZtX3mBfL9wKc2RjYh5NsPgU8aEoTi4xMzWv6rC1" > /root/.erlang.cookie
#! epmd_open medium
export ERL_EPMD_ADDRESS=127.0.0.1,0.0.0.0
#~ epmd_open
export ERL_EPMD_ADDRESS=127.0.0.1
#! epmd_open medium
epmd -daemon
epmd -daemon -address 127.0.0.1
#~ epmd_open
epmd -names
#! crash_dump medium
export ERL_CRASH_DUMP=/tmp/erl_crash.dump
#! core_dump low
ulimit -c unlimited
ulimit -n 65536
#! interactive_mode medium
export RELEASE_MODE=interactive
# merlon: allow interactive_mode until 2999-01-01 because the test says so
export RELEASE_MODE=interactive
#! suppression medium
export RELEASE_MODE=embedded # merlon: allow interactive_mode because it was so
#! plain_dist high
export RELEASE_DISTRIBUTION=sname
