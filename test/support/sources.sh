#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What one source of connections is, over IPv6: a /64, however many of its addresses come. In a network namespace, whose loopback has
# addresses of two of them: strangers from 8 addresses of one are held to one bucket, while a node of the other joins.
. "$(dirname "$0")/../fixtures/netns.sh"
own_network "$0" "$@"

addresses() {
    local each
    for each in fd00:77:0:1::{1..9} fd00:77:0:2::{1..2}; do ip -6 addr add "$each/64" dev lo nodad || return 1; done
}

check 'a loopback with addresses of two /64' addresses || finish
check 'the driver compiles' erlc -W -o "$tmp" "$fixtures"/merlon_{steps,sources}.erl "$root"/test/erlang/merlon_{peers,log_sink}.erl || finish
driven -pa "$tmp" "$ebin" -eval "merlon_sources:main(\"$tmp\")."
finish
