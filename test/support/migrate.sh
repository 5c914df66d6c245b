#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Moves a cluster of three nodes under load to merlon, node by node, as docs/guides/migrate.md says: no node may see another go
# down but for its own restart. The merlon dir is made by the commands of the guide. Where there is a root of OTP 27
# (otp.sh) the last node is of that release, before and after.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/otp27.sh"
merlon=$root/bin/merlon
dir=$tmp/merlon
ebin=$root/_build/default/lib/merlon/ebin
names=(a_$$ b_$$ c_$$)

# A cluster's own CA with a certificate for the host alone, as inet_tls has them. Its nodes trust merlon's CA as well, and merlon's theirs.
theirs() {
    local made=$tmp/theirs name
    mkdir -p "$made" && cd "$made" || return 1
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    echo 'subjectAltName=DNS:localhost' >san &&
        openssl req -x509 -days 2 -subj /CN=theirs "${ec[@]}" -keyout ca.key -out ca.pem &&
        cp ca.pem "$dir/trust/theirs.pem" && cat ca.pem "$dir/trust/ca.pem" >all.pem || return 1
    for name in "${names[@]}"; do
        mkdir "$name" && cp all.pem "$name" &&
            openssl req -new -subj /CN=localhost "${ec[@]}" -keyout "$name/key.pem" -out csr &&
            openssl x509 -req -days 1 -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out "$name/cert.pem" || return 1
    done
}

merlon_dir() {
    "$merlon" init --cluster moving --dir "$dir" || return 1
    local name
    for name in "${names[@]}"; do "$merlon" cert "$name@localhost" --dir "$dir" || return 1; done
}

build() {
    mkdir -p "$tmp/ebin" &&
        erlc -W -o "$tmp/ebin" "$fixtures/merlon_migrate.erl" "$root"/test/erlang/merlon_{peers,log_sink}.erl
}

# Each line of it that says ok or FAILED counts.
move() {
    erl -noshell -noinput -boot no_dot_erlang -pa "$tmp/ebin" "$ebin" \
        -eval "merlon_migrate:main($1, \"$dir\", $(printf '"%s",' "${names[@]}" | sed 's/,$//; s/.*/[&]/'), \"$there\")." \
        </dev/null >"$tmp/$1.log" 2>&1 &
    local driver=$!
    started+=("$driver")
    wait "$driver"
    awk '/^(ok|FAILED) / { shown = 1 } /^(=|merlon:|all done)/ { shown = 0 } shown' "$tmp/$1.log"
    passed=$((passed + $(grep -c '^ok ' "$tmp/$1.log")))
    failed=$((failed + $(grep -c '^FAILED ' "$tmp/$1.log")))
    if ! grep -qx 'all done' "$tmp/$1.log"; then
        failed=$((failed + 1))
        tail -n 60 "$tmp/$1.log" | sed 's/^/    /'
    fi
}

check 'the merlon dir of the guide' merlon_dir && check 'the driver' build || finish
there=
if has_otp27 && check "the library for OTP ${MERLON_OTP:-27}" library27 "$tmp/merlon27"; then there=$otp27; fi
echo '  from plain TCP'
move plain
# What has linked over merlon gets no other link: the next cluster starts without that past.
rm -f "$dir/linked-nodes"
echo '  from inet_tls'
check 'certificates of inet_tls, for the host alone' theirs && move inet_tls
finish
