#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The status page in a real browser: three nodes of one merlon dir, headless Chromium on the page of one of them. Its script
# runs under the page's own policy, and a link that comes or goes while the page is open does so on it without reload. Needs the commands
# `chromium` and `python3`; `status-page.sh FILE.png` keeps the screenshot. Run after `make`.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/guide.sh"
guide=$root/docs/guides/operate.md
export PATH=$root/bin:$PATH
ebin=$root/_build/default/lib/merlon/ebin
dir=$tmp/dir
keep=${1-}

command -v chromium >/dev/null && command -v python3 >/dev/null || { echo 'left: chromium or python3 is not here (apt-get install chromium python3)'; finish; }

# node NAME EVAL: starts it and remembers it.
node() {
    erl -noshell -noinput -boot no_dot_erlang -name "$1@127.0.0.1" -setcookie status -pa "$ebin" -proto_dist merlon -merlon_dir "$dir" \
        -connect_all false -kernel logger_level critical -eval "ok = application:start(merlon), $2" >"$tmp/$1.log" 2>&1 </dev/null &
    started+=($!)
}

shows() { curl -sf "http://127.0.0.1:$port/" | grep -qF "$1"; }
# once FILE THEN: an expression that waits for the file.
once() { echo "(fun F() -> case filelib:is_file(\"$tmp/$1\") of true -> $2; false -> timer:sleep(100), F() end end)()"; }

three_nodes() {
    port=$(free_port)
    new_dir "$dir" shop a@127.0.0.1 b@127.0.0.1 c@127.0.0.1 && "$root/bin/merlon" keyring --new --dir "$dir" &&
        echo "{status, {\"127.0.0.1\", $port}}." >>"$dir/merlon.config" || return
    node a "ok." && within 20 shows '<main>' || { cat "$tmp/a.log"; return 1; }
    # The setting is that of all nodes of the dir: only one gets the port, the others try in vain.
    node b "$(once b "pong = net_adm:ping('a@127.0.0.1')")."
    node c "$(once c "pong = net_adm:ping('a@127.0.0.1')"), $(once gone 'halt()')."
    touch "$tmp/b" && within 20 shows '<bdi>b@127.0.0.1'
}

# Of a node with another merlon dir, not on loopback: as the guide has it, and without a certificate.
over_tls() {
    local dir=$tmp/tls
    HOST=127.0.0.1 USER=$(id -un) PORT=$(free_port)
    export HOST USER PORT
    new_dir "$dir" shop "t@$HOST" && echo "{status, {\"0.0.0.0\", $PORT}}." >>"$dir/merlon.config" || return
    node t "ok."
    within 20 listens && follow status-tls "$tmp" | grep -F '"node":"t@127.0.0.1"' && follow status-browser "$tmp" &&
        openssl pkcs12 -in "$tmp/tool.p12" -passin pass:secret -nodes | grep -q 'PRIVATE KEY' &&
        ! curl -sk "https://$HOST:$PORT/" && ! curl -s "http://$HOST:$PORT/"
}
listens() { (: <"/dev/tcp/$HOST/$PORT"); }

# Two links come while the page is open, and one goes.
links_come_and_go() {
    timeout 90 python3 "$fixtures/browser.py" "http://127.0.0.1:$port/" "$tmp/profile" "$tmp/page.png" \
        see:live see:b@127.0.0.1 "touch:$tmp/c" see:c@127.0.0.1 "touch:$tmp/gone" miss:c@127.0.0.1 &&
        [ "$(stat -c %s "$tmp/page.png")" -gt 20000 ] && { [ -z "$keep" ] || cp "$tmp/page.png" "$keep"; }
}

check 'three nodes, one with the page' three_nodes || finish
check 'elsewhere than on loopback, with a tool'"'"'s certificate' over_tls
check 'links come and go on the open page, and its policy refuses nothing of it' links_come_and_go
finish
