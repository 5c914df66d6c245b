#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two ejabberd nodes (Debian's package, unpacked: nothing of the system is touched) form a cluster over merlon, as
# docs/guides/ejabberd.md has it. An account made on one is there on the other, ejabberdctl works, and who has no
# certificate stays outside.
. "$(dirname "$0")/../fixtures/lib.sh"
touch "$tmp/begun"

cache=${MERLON_CACHE:-$HOME/.cache/merlon}/ejabberd
dir=$tmp/merlon
ebin=$tmp/lib/merlon/ebin

# The package and what it needs beyond this system's own, as apt gives them, in a folder. Two runs at once share it.
unpack() {
    mkdir -p "$cache"
    (
        flock 9
        [ ! -e "$cache/ready" ] || exit 0
        rm -rf "$cache/root" "$cache/deb" && mkdir -p "$cache/deb/partial" "$cache/root" &&
            as_root apt-get install -qq -y --download-only --no-install-recommends -o Dir::Cache::archives="$cache/deb" ejabberd &&
            for deb in "$cache"/deb/*.deb; do dpkg-deb -x "$deb" "$cache/root" || exit 1; done && touch "$cache/ready"
    ) 9>"$cache/lock"
}
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

prepare() {
    mkdir -p "$tmp/lib/merlon" && cp -rL "$root"/_build/default/lib/merlon/{ebin,priv} "$tmp/lib/merlon/" && ctl_script &&
        new_dir "$dir" jabber ejabberd{,2}@localhost && "$root/bin/merlon" cert --cli "$(id -un)" localhost --dir "$dir" &&
        cp -a "$dir" "$dir"2 && echo '{cli_names, ["###-ctl-ejabberd2", "rpc-####-*"]}.' >>"${dir}2/merlon.config"
}

# The start script of the package, for this user and this folder.
ctl_script() {
    local libs=$cache/root/usr/lib/x86_64-linux-gnu
    sed -e "s|^INSTALLUSER=.*|INSTALLUSER=|" -e "s|^ERL_LIBS=.*|ERL_LIBS='$libs:$libs/erlang/lib:$cache/root/usr/lib/erlang/lib'|" \
        -e "s|^ERL=.*|ERL='$(command -v erl)'|" -e "s|^EPMD=.*|EPMD='$(command -v epmd || true)'|" \
        "$cache/root/usr/sbin/ejabberdctl" >"$tmp/ejabberdctl" && chmod +x "$tmp/ejabberdctl"
}

# configure NAME: /etc/ejabberd of one machine; the lines that merlon needs are in vm.args as the guide has them, for the second
# machine in ejabberdctl.cfg as the doctor writes them.
configure() {
    local conf=$tmp/$1/conf
    mkdir -p "$conf" "$tmp/$1/spool" "$tmp/$1/log"
    cat >"$conf/ejabberd.yml" <<YML
hosts: [localhost]
loglevel: info
listen:
  - {port: $(free_port), ip: "127.0.0.1", module: ejabberd_c2s}
acl: {local: {user_regexp: ""}}
modules: {mod_admin_extra: {}}
YML
    printf 'ERLANG_NODE=%s@localhost\nINET_DIST_INTERFACE=127.0.0.1\n' "$1" >"$conf/ejabberdctl.cfg"
    printf '{file, hosts, "/etc/hosts"}.\n{lookup, [file, native]}.\n' >"$conf/inetrc"
    if [ "$1" = ejabberd ]; then
        printf -- '-pa %s\n-proto_dist merlon\n-merlon_dir %s\n' "$ebin" "$dir" >"$conf/vm.args"
    else
        "$root/bin/merlon" doctor --emit ejabberd --dir "$dir${1#ejabberd}" >>"$conf/ejabberdctl.cfg"
    fi
}

# ejabberdctl NAME ARG...
ejabberdctl() {
    HOME=$tmp/home LD_LIBRARY_PATH=$cache/root/usr/lib/x86_64-linux-gnu:$cache/root/lib/x86_64-linux-gnu timeout 60 "$tmp/ejabberdctl" \
        --config-dir "$tmp/$1/conf" --spool "$tmp/$1/spool" --logs "$tmp/$1/log" --no-timeout "${@:2}"
}
say() { tail -n 30 "$tmp/$1"/log/*.log "$tmp/$1/out"; }

node() {
    (HOME=$tmp/home LD_LIBRARY_PATH=$cache/root/usr/lib/x86_64-linux-gnu:$cache/root/lib/x86_64-linux-gnu exec "$tmp/ejabberdctl" \
        --config-dir "$tmp/$1/conf" --spool "$tmp/$1/spool" --logs "$tmp/$1/log" foreground >"$tmp/$1/out" 2>&1 </dev/null) &
    started+=("$!")
}
both_up() {
    local name
    for name in ejabberd ejabberd2; do configure $name && node $name; done
    for name in ejabberd ejabberd2; do within 20 ejabberdctl $name status || { say $name; ejabberdctl $name status; return 1; }; done
}

join() { ejabberdctl ejabberd2 join_cluster ejabberd@localhost && within 30 clustered; }
clustered() { ejabberdctl ejabberd list_cluster | grep -q ejabberd2@localhost && ejabberdctl ejabberd2 list_cluster | grep -q ejabberd@localhost; }

# By a tool's own certificate, asked of the node itself.
secured() {
    local name answer
    for name in ejabberd ejabberd2; do
        answer=$(in_vm $name '{lists:usort([T || #{tls_version := T} <- merlon:connections()]), lists:all(fun merlon:is_encrypted/1, nodes()), length(nodes()) }') || return 1
        echo "$name: $answer"
        [ "$answer" = '{[<<"1.3">>],true,1}' ] || return 1
    done
}
in_vm() {
    erl -noshell -noinput -sname "rpc-$(printf %04x $$)-$1@localhost" -hidden -pa "$ebin" -proto_dist merlon -merlon_dir "$dir" -setcookie "$cookie" -eval "
        {ok, Tokens, _} = erl_scan:string(\"$(printf '%s' "$2" | sed 's/"/\\"/g').\"), {ok, Exprs} = erl_parse:parse_exprs(Tokens),
        true = net_kernel:connect_node('$1@localhost'), {value, Value, _} = erpc:call('$1@localhost', erl_eval, exprs, [Exprs, []]), io:format(\"~0p\", [Value]), halt()."
}

account() {
    ejabberdctl ejabberd register ann localhost "$(head -c 12 /dev/urandom | base64)" && within 10 registered
}
registered() { ejabberdctl ejabberd2 registered_users localhost | grep -qx ann; }

refused() { # ARGS...
    erl -noshell -noinput -sname "stranger@localhost" "$@" -setcookie "$cookie" -eval 'pang = net_adm:ping('"'ejabberd@localhost'"'), halt().'
}
stranger_refused() {
    new_dir "$tmp/stranger" jabber stranger@localhost && refused -pa "$ebin" -proto_dist merlon -merlon_dir "$tmp/stranger" &&
        within 5 grep -rq 'merlon: refused' "$tmp/ejabberd/log" || { say ejabberd; return 1; }
}

# Without its folder the tool has no certificate to show.
tool_refused() {
    local status=0
    mv "$dir/cli" "$dir/cli.away"
    ejabberdctl ejabberd status && status=1
    mv "$dir/cli.away" "$dir/cli"
    [ $status = 0 ] && ejabberdctl ejabberd status
}

command -v apt-get >/dev/null || { echo 'ejabberd.sh: needs apt-get, for ejabberd' >&2; exit 1; }
[ "$(otp_release)" = 25 ] || { echo "ejabberd.sh: ejabberd of Debian 12 runs on OTP 25, this is $(otp_release)" >&2; exit 1; }
check 'the tree is built' test -s "$root/_build/default/lib/merlon/ebin/merlon.app" || finish
check 'ejabberd is unpacked' unpack || finish
mkdir -p "$tmp/home"
head -c 24 /dev/urandom | base64 | tr -dc A-Za-z0-9 >"$tmp/home/.erlang.cookie" && chmod 600 "$tmp/home/.erlang.cookie"
cookie=$(cat "$tmp/home/.erlang.cookie")
check 'merlon is installed, with certificates for two nodes and the tools' prepare || finish
if check 'two nodes start' both_up; then
    check 'they form a cluster' join
    check 'their link is TLS 1.3, bound to the node' secured
    check 'an account made on one is there on the other' account
    check 'a node with a certificate of another CA, and the cookie, is refused' stranger_refused
    check 'a node on plain TCP with the cookie is refused' refused
    check 'ejabberdctl without a certificate is refused' tool_refused
    check 'ejabberdctl stop' ejabberdctl ejabberd2 stop
fi
check 'nothing of the system is touched' system_untouched ejabberd
finish
