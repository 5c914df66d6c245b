#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `merlon audit` does outside of its VM: the filters of its page in a real browser (chromium, python3), and whom `--wire`
# talks to, as the kernel sees it (strace, python3, openssl). What is not here is said and left. `audit.sh FILE.png` keeps the
# screenshot. Run after `make`; the last line is `N passed, N failed`.
. "$(dirname "$0")/../fixtures/lib.sh"
keep=${1-}

has() {
    local tool
    for tool; do command -v "$tool" >/dev/null || { echo "left: $tool is not here"; return 1; }; done
}

# ---- the page ----

# A critical, a high and a low finding of two rules, and a note of a third.
page() {
    mkdir "$tmp/tree"
    cat >"$tmp/tree/shop.erl" <<'END'
-module(shop).
-export([run/1, ask/1, old/1, port/0]).
run(Name) -> os:cmd("convert " ++ Name).
ask(Socket) -> {ok, Bytes} = gen_tcp:recv(Socket, 0), os:cmd(Bytes).
old(Name) -> list_to_atom(Name).
port() -> os:cmd("uptime").
END
    "$root/bin/merlon" audit "$tmp/tree" --format html --output "$tmp/page.html"
    [ $? = 1 ]
}

# visit FILE STEP...
visit() {
    local file=$1
    shift
    timeout 60 python3 "$fixtures/browser.py" "file://$file" "$tmp/profile" "$tmp/page.png" "$@"
}

# As it opens: all but notes. Each filter takes away and gives back, and they hold together.
severity=('see:shop.erl:4' see:shop.erl:3 miss:shop.erl:6 'see:3 shown' 'click:input[value=note]' see:shop.erl:6 'see:4 shown'
          'click:input[value=critical]' miss:shop.erl:4 see:shop.erl:3 'click:input[value=critical]' see:shop.erl:4)
rule=('see:shop.erl:4' 'fill:select[name=rule]=dynamic_atom' miss:shop.erl:4 miss:shop.erl:3 see:shop.erl:5 'see:1 shown'
      'fill:select[name=rule]=' see:shop.erl:4)
text=('see:shop.erl:4' 'fill:input[name=text]=SHOP:ask' miss:shop.erl:3 miss:shop.erl:5 see:shop.erl:4 'see:1 shown'
      'fill:input[name=text]=nobody' miss:shop.erl:4 'see:0 shown' 'fill:input[name=text]=convert' see:shop.erl:3 miss:shop.erl:4)

filters() {
    visit "$tmp/page.html" "${severity[@]}" "${rule[@]}" "${text[@]}" 'click:input[value=high]' miss:shop.erl:3 'click:input[value=high]' \
        see:shop.erl:3 && [ "$(stat -c %s "$tmp/page.png")" -gt 20000 ] && { [ -z "$keep" ] || cp "$tmp/page.png" "$keep"; }
}

# without CODE STEP...: on a page whose script lacks that condition the steps fail (the page's policy would not run it).
without() {
    local code=$1 page=$tmp/broken.html
    shift
    sed -e '/http-equiv/d' -e '/^"script-src/d' "$tmp/page.html" | python3 -c '
import sys
page, code = sys.stdin.read(), sys.argv[1]
assert page.count(code) == 1, page.count(code)
sys.stdout.write(page.replace(code, "true"))' "$code" >"$page" || return
    ! BROWSER_SECONDS=2 visit "$page" "$@" 2>"$tmp/broken.log" && grep -q '^after 2 s' "$tmp/broken.log"
}

if has chromium python3; then
    check 'a page with findings' page || finish
    check 'its filters hide and show rows, under its own policy' filters
    check 'a severity filter that does nothing is seen' without 's.includes(row.dataset.severity)' "${severity[@]}"
    check 'a rule filter that does nothing is seen' without '(!r||r===row.dataset.rule)' "${rule[@]}"
    check 'a text filter that does nothing is seen' without 'row.textContent.toLowerCase().includes(t)' "${text[@]}"
fi

# ---- the wire ----

# An epmd that names other hosts, a TLS server whose certificate does, and a redirect; the ports are in $tmp/ports.
others() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other.invalid -keyout "$tmp/key.pem" -out "$tmp/cert.pem" \
        -addext 'subjectAltName=DNS:other.invalid,URI:http://127.0.0.5/,IP:127.0.0.6' \
        -addext 'authorityInfoAccess=OCSP;URI:http://127.0.0.7/,caIssuers;URI:http://127.0.0.8/' \
        -addext 'crlDistributionPoints=URI:http://127.0.0.9/crl' || return
    python3 - "$tmp" <<'END' &
import os, socket, ssl, struct, sys, threading
tmp = sys.argv[1]
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
epmd, tls, redirect = (each.getsockname()[1] for each in listeners)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(tmp + "/cert.pem", tmp + "/key.pem")
names = f"name far@127.0.0.4 at port {tls}\nname away.invalid at port {redirect}\n".encode()

def answer(kind, client):
    try:
        if kind == 0:
            client.recv(3)
            client.sendall(struct.pack(">I", epmd) + names)
        elif kind == 1:
            context.wrap_socket(client, server_side=True).recv(1000)
        else:
            client.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.3:80/\r\n\r\n")
    except OSError:
        pass
    client.close()

def serve(kind):
    while True:
        threading.Thread(target=answer, args=(kind, listeners[kind].accept()[0]), daemon=True).start()

for kind in (1, 2):
    threading.Thread(target=serve, args=(kind,), daemon=True).start()
with open(tmp + "/ports.new", "w") as file:
    file.write(f"{epmd} {tls} {redirect}\n")
os.rename(tmp + "/ports.new", tmp + "/ports")
serve(0)
END
    started+=($!)
    within 10 test -e "$tmp/ports"
}

# The command's own VM and its helpers, all that they connect to or send to.
wire() {
    local ports epmd
    ports=$(cat "$tmp/ports") && read -r epmd _ <<<"$ports"
    ERL_EPMD_PORT=$epmd timeout 120 strace -f -qq -o "$tmp/trace" -e trace=connect,sendto,sendmsg,sendmmsg \
        "$root/bin/merlon" audit --wire 127.0.0.1 --format json --output "$tmp/wire.json" || [ $? = 2 ] || return
    grep -q 'other.invalid' "$tmp/wire.json" && grep -q '"rule":"wire_epmd"' "$tmp/wire.json" || { cat "$tmp/wire.json"; return 1; }
    grep -oE 'sin6?_port=htons\([0-9]+\).*(sin_addr=inet_addr\("[^"]*"\)|inet_pton\(AF_INET6, "[^"]*")' "$tmp/trace" |
        sed -E 's/.*htons\(([0-9]+)\).*"([^"]*)".*/\2 \1/' | sort -u >"$tmp/contacted"
    for port in $ports; do echo "127.0.0.1 $port"; done | sort -u | diff - "$tmp/contacted"
}

if has strace python3 openssl; then
    check 'somebody who names others' others || finish
    check 'the kernel sees connections to the given address, and to nobody else' wire
fi
finish
