#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The status page in a real browser: three nodes of one merlon dir, headless Chromium on the page of one of them. Its script
# runs under the page's own policy, and a link that comes up while the page is open appears on it without reload. Needs the command
# `chromium`; `status-page.sh FILE.png` keeps the screenshot. Run after `make`.
. "$(dirname "$0")/../fixtures/lib.sh"
ebin=$root/_build/default/lib/merlon/ebin
dir=$tmp/dir
keep=${1-}

command -v chromium >/dev/null || { echo 'left: chromium is not here (apt-get install chromium)'; finish; }

# node NAME EVAL: starts it and remembers it.
node() {
    erl -noshell -noinput -boot no_dot_erlang -name "$1@127.0.0.1" -pa "$ebin" -proto_dist merlon -merlon dir "$dir" \
        -connect_all false -kernel logger_level critical -eval "ok = application:start(merlon), $2" >"$tmp/$1.log" 2>&1 </dev/null &
    started+=($!)
}

# browse ARG...: Chromium with a profile of its own, on the page.
browse() {
    timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking \
        --user-data-dir="$tmp/profile" --enable-logging=stderr "$@" "http://127.0.0.1:$port/"
}

shows() { curl -sf "http://127.0.0.1:$port/" | grep -qF "$1"; }
goes_to() { echo "Self = fun F() -> case filelib:is_file(\"$tmp/$1\") of true -> pong = net_adm:ping('a@127.0.0.1'); false -> timer:sleep(100), F() end end, Self()."; }

three_nodes() {
    port=$(free_port)
    new_dir "$dir" shop a@127.0.0.1 b@127.0.0.1 c@127.0.0.1 && "$root/bin/merlon" keyring --new --dir "$dir" &&
        echo "{status, {\"127.0.0.1\", $port}}." >>"$dir/merlon.config" || return
    node a "ok." && within 20 shows '<main>' || return
    # The setting is that of all nodes of the dir: only one gets the port, the others try in vain.
    node b "$(goes_to b)" && node c "$(goes_to c)"
    touch "$tmp/b" && within 20 shows '<bdi>b@127.0.0.1'
}

# The document as it stands after some seconds, in which c has linked.
a_link_comes_up_while_it_is_open() {
    (sleep 4; touch "$tmp/c") &
    browse --timeout=12000 --dump-dom >"$tmp/dom" 2>"$tmp/browser.log" || { cat "$tmp/browser.log"; return 1; }
    grep -q 'id="state" class="live">live<' "$tmp/dom" && grep -q '<bdi>c@127.0.0.1' "$tmp/dom" || { cat "$tmp/dom" "$tmp/browser.log"; return 1; }
}

# Chromium says what a policy has refused.
nothing_was_refused_by_the_policy() {
    ! grep -iE 'content security policy|refused to' "$tmp/browser.log"
}

it_looks_like_a_page() {
    browse --window-size=1280,900 --virtual-time-budget=4000 --screenshot="$tmp/page.png" >"$tmp/browser.log" 2>&1 || { cat "$tmp/browser.log"; return 1; }
    [ "$(stat -c %s "$tmp/page.png")" -gt 20000 ] && { [ -z "$keep" ] || cp "$tmp/page.png" "$keep"; }
}

check 'three nodes, one with the page' three_nodes || finish
check 'a link that comes up appears without reload' a_link_comes_up_while_it_is_open
check 'the policy of the page refuses nothing of it' nothing_was_refused_by_the_policy
check 'a screenshot of it' it_looks_like_a_page
finish
