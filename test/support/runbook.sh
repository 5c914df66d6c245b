#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The runbooks of docs/guides/operate.md, on three running nodes with a merlon dir each: a certificate runs out, the keyring
# gets out, a node is taken over, the CA's key gets out. Each is followed as it stands there, and then it is looked who is in and
# who is out.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/guide.sh"
guide=$root/docs/guides/operate.md
ebin=$root/_build/default/lib/merlon/ebin
user=$(id -un)
export PATH=$root/bin:$PATH USER=$user
at=@127.0.0.1

# do_as NAME NODE: a recipe, about that node.
do_as() { node=$2$at dir=$tmp/ca THERE=$tmp/$2 OWN=ca$at follow "$1" "$tmp"; }

# machine NAME: its parts of what the CA's machine has.
machine() {
    mkdir -p "$tmp/$1/nodes" && cp -r "$tmp/ca/trust" "$tmp/ca/merlon.config" "$tmp/ca/keyring" "$tmp/$1/" && mv "$tmp/ca/nodes/$1$at" "$tmp/$1/nodes/"
}

# runs NAME DIR [PEER...]: a node that dials those again and again and writes down whom it is linked to, and since when.
runs() {
    local name=$1 dir=$2 peers
    shift 2
    peers=
    [ $# = 0 ] || peers=$(printf ",'%s$at'" "$@")
    rm -f "$tmp/$name.links"
    erl -noshell -noinput -boot no_dot_erlang -name "$name$at" -setcookie runbook -pa "$ebin" -proto_dist merlon -merlon_dir "$dir" -connect_all false \
        -kernel logger_level critical -eval "
        (fun L() ->
            _ = [net_kernel:connect_node(P) || P <- [${peers#,}]],
            Links = [io_lib:format(\"~s ~b~n\", [N, S]) || #{node := N, since := S} <- merlon:connections()],
            ok = file:write_file(\"$tmp/$name.new\", Links), ok = file:rename(\"$tmp/$name.new\", \"$tmp/$name.links\"),
            timer:sleep(200), L()
        end)()." >"$tmp/$name.log" 2>&1 </dev/null &
    started+=($!)
    pid=$!
    within 20 test -e "$tmp/$name.links" || { cat "$tmp/$name.log"; return 1; }
}

linked() { grep -q "^$2$at " "$tmp/$1.links"; }
apart() { ! linked "$1" "$2"; }
since() { awk -v node="$2$at" '$1 == node { print $2 }' "$tmp/$1.links"; }
# fresh NAME: it has written its links down once more.
fresh() { rm -f "$tmp/$1.links"; within 10 test -e "$tmp/$1.links"; }

# short NODE SECONDS: its certificate ends that soon, and it gets none by itself.
short() {
    erl -noshell -noinput -boot no_dot_erlang -pa "$ebin" "$tmp" -eval "
        ok = merlon_nif:load(), ok = merlon_peers:add_node(\"$tmp/ca\", '$1$at', #{now => erlang:system_time(second) - 86400 + $2, days => 1}), halt()." &&
        rm -rf "$tmp/$1/nodes/$1$at" && mv "$tmp/ca/nodes/$1$at" "$tmp/$1/nodes/" && echo '{renew, false}.' >>"$tmp/$1/merlon.config"
}

# As `merlon init` does, but two days ago: what it issues can have run out.
older_ca() {
    local made
    made=$(erl -noshell -noinput -boot no_dot_erlang -pa "$ebin" "$tmp" -eval "
        io:put_chars(merlon_peers:new_dir(\"$tmp\", \"shop\", erlang:system_time(second) - 172800)), halt().") && mv "$made" "$tmp/ca" && chmod 700 "$tmp/ca"
}

three_nodes() {
    local name
    erlc -o "$tmp" "$root/test/erlang/merlon_peers.erl" && older_ca || return
    for name in ca a b; do merlon cert "$name$at" --dir "$tmp/ca" || return; done
    merlon keyring --new --dir "$tmp/ca" &&
        machine a && machine b && short a 60 && short b 12 &&
        runs ca "$tmp/ca" && runs a "$tmp/a" ca && runs b "$tmp/b" ca a &&
        within 10 linked ca a && within 10 linked ca b && within 10 linked a b
}

# ---- a certificate runs out ----

looks() { do_as expiry-look a | grep -F "ca$at"; }
renews() {
    local before
    before=$(since ca a)
    do_as expiry-renew a && openssl x509 -in "$tmp/a/nodes/a$at/cert.pem" -noout -checkend 86000 && fresh ca && [ "$(since ca a)" = "$before" ]
}
runs_out() { within 30 apart ca b && within 5 apart a b; }
comes_back() { do_as expiry-ended b && within 20 linked ca b && within 20 linked a b && do_as expiry-check b; }

# ---- the keyring gets out ----

# A thief with a copy of the keyring, and with a good certificate: t of this cluster.
steals_keyring() {
    mkdir "$tmp/t" && merlon cert "t$at" --dir "$tmp/ca" && machine t && runs t "$tmp/t" ca && thief=$pid && within 10 linked t ca && stop "$thief" && within 10 apart ca t
}
# The entries that count.
entries() { merlon keyring --dir "$tmp/$1" | grep -cE 'preferred|accepted'; }
one_counts() { [ "$(entries "$1")" = 1 ]; }
all_have_one() { within 40 one_counts ca && within 10 one_counts a && within 10 one_counts b; }
rotates_keyring() { do_as keyring-rotate a && all_have_one && do_as keyring-check a; }
keyring_is_worthless() {
    runs t "$tmp/t" ca && thief=$pid && sleep 3 && fresh t && apart t ca && stop "$thief" && linked ca a && linked ca b
}

# ---- a node is taken over ----

# The thief of before is not waited for, nor heard, any more.
revokes() { merlon revoke "t$at" --dir "$tmp/ca" && do_as node-revoke b | grep -F "b$at" && within 15 apart ca b && within 15 apart a b; }
rotates_behind_it() { do_as node-rotate b && within 40 one_counts ca && within 10 one_counts a && do_as node-check b; }
stays_out() { sleep 2 && fresh b && apart b ca && apart b a && ! cmp -s "$tmp/b/keyring" "$tmp/a/keyring" && linked ca a; }

# ---- the CA's key gets out ----

steals_ca() { cp -r "$tmp/ca" "$tmp/x" && rm -r "$tmp/x/nodes" && merlon cert "x$at" --dir "$tmp/x" && runs x "$tmp/x" ca && thief=$pid && within 10 linked x ca && stop "$thief" && within 10 apart ca x; }
replaces_root() {
    local before
    before=$(since ca a)
    do_as ca-rotate a && do_as ca-secret a && within 40 one_counts ca && do_as ca-tools a && do_as ca-check a && fresh ca && [ "$(since ca a)" = "$before" ]
}
# With the keyring of today, too, and with a certificate that he has just made.
root_is_worthless() {
    cp "$tmp/ca/keyring" "$tmp/x/keyring" && merlon cert "y$at" --dir "$tmp/x" && cp "$tmp/ca/trust"/* "$tmp/x/trust/" &&
        runs y "$tmp/x" ca && sleep 3 && fresh y && apart y ca && apart ca y && linked ca a
}

check 'three nodes' three_nodes || finish
check 'expiry: what ends when' looks
check 'expiry: a node gets its next certificate, its links stay up' renews
check 'expiry: a node whose certificate has run out is out' runs_out
check 'expiry: it comes back without a restart' comes_back
check 'keyring: a thief with it, and with a certificate, is in' steals_keyring
check 'keyring: another takes its place, on all nodes' rotates_keyring
check 'keyring: the thief is out, nobody else is' keyring_is_worthless
check 'node: taken back, it loses all its links' revokes
check 'node: the secret that it knew ends' rotates_behind_it
check 'node: it stays out, and has not learnt the new secret' stays_out
check "CA: a thief with its key is in as a node of his own" steals_ca
check 'CA: another root takes its place, no link ends' replaces_root
check 'CA: what the thief signs is worth nothing' root_is_worthless
finish
