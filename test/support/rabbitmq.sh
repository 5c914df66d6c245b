#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three RabbitMQ brokers (Debian's rabbitmq-server, unpacked: nothing of the system is touched) form a cluster over merlon,
# as docs/guides/rabbitmq.md has it. A quorum queue under load outlives a broker killed -9; the tools work; who has no
# certificate stays outside. With MERLON_EPMD=names, =base, =port, =static or =dns_srv it is the same without epmd, as
# docs/guides/epmd.md has it.
. "$(dirname "$0")/../fixtures/lib.sh"
touch "$tmp/begun"

cache=${MERLON_CACHE:-$HOME/.cache/merlon}/rabbitmq
dir=$tmp/merlon
ebin=$tmp/lib/merlon/ebin
# As an operator has it; what it listens on is loopback all the same.
strategy=${MERLON_EPMD:-}
host=$(hostname -s)
getent ahosts "$host" >/dev/null || host=localhost
# `port` is for one node per host, and RabbitMQ itself starts no other on a machine where that port is in use: one broker then.
broker_of() { if [ "$strategy" = port ]; then echo rabbit1; else echo "$1"; fi; }
# So that RabbitMQ's own variables are this script's alone.
while read -r name; do unset "$name"; done < <(compgen -e | grep '^RABBITMQ_')

# ---- installing ----

# The package as apt gives it, into a folder. Two runs at once share it.
unpack() {
    mkdir -p "$cache"
    (
        flock 9
        [ ! -e "$cache/ready" ] || exit 0
        rm -rf "$cache/root" "$cache/deb" && mkdir -p "$cache/deb" && cd "$cache/deb" &&
            apt-get download -qq rabbitmq-server && dpkg-deb -x rabbitmq-server_*.deb "$cache/root" && touch "$cache/ready"
    ) 9>"$cache/lock"
}

# The library where make install would put it, one merlon dir for all machines, and what the load is made of.
prepare() {
    mkdir -p "$tmp/lib/merlon" && cp -rL "$root"/_build/default/lib/merlon/{ebin,priv} "$tmp/lib/merlon/" &&
        machine rabbit1 && machine rabbit2 && machine rabbit3 && machine rabbit4 &&
        new_dir "$dir" rabbits rabbit{1,2,3}@"$host" && "$root/bin/merlon" cert --cli "$(id -un)" "$host" --dir "$dir" &&
        echo '{listen, ["127.0.0.1"]}.' >>"$dir/merlon.config" && without_epmd && env_confs &&
        ERL_LIBS=$plugins erlc -o "$tmp/ebin" "$fixtures/rabbit_load.erl"
}

# The lines for /etc/rabbitmq/rabbitmq-env.conf, for each machine: those of the guide, for the first those that the doctor writes.
env_confs() {
    local name conf
    for name in rabbit1 rabbit2 rabbit3 rabbit4; do
        conf=$tmp/$name/env.conf
        if [ $name = rabbit1 ]; then
            "$root/bin/merlon" doctor --emit rabbitmq --dir "$dir" | grep -v '^#' >"$conf"
        else
            sed -n 's/^ *\(\(SERVER_ADDITIONAL\|CTL\)_ERL_ARGS=.*\)/\1/p' "$root/docs/guides/rabbitmq.md" |
                sed "s|\$MERLON/ebin|$ebin|; s|/var/lib/rabbitmq/merlon|$dir|" >"$conf"
        fi
        [ "$(wc -l <"$conf")" = 2 ] || return 1
        [ -z "$strategy" ] || sed -i "/^CTL/s|\"\$| $no_epmd\"|; /^SERVER/s|\"\$| $no_epmd -erl_epmd_port $(cat "$tmp/$name/dist")\"|" "$conf"
    done
}

# What says where brokers are, where epmd is not to. With `base` the machines' ports follow from their names.
without_epmd() {
    local base number
    case $strategy in
        '') ;;
        names) echo "{epmd, {names, [{port, $(free_port)}]}}." >>"$dir/merlon.config" ;;
        base)
            base=$(free_port)
            for number in 1 2 3 4; do echo $((base + number)) >"$tmp/rabbit$number/dist"; done
            echo "{epmd, {base, $base}}." >>"$dir/merlon.config" ;;
        port) echo "{epmd, {port, $(cat "$tmp/rabbit1/dist")}}." >>"$dir/merlon.config" ;;
        static)
            echo "{epmd, {static, [$(each_broker "{'%s', \"127.0.0.1\", %s}")]}}." >>"$dir/merlon.config" ;;
        dns_srv) dns && echo "{epmd, {dns_srv, \"rabbits.test\", [{nameserver, \"127.0.0.1\", $(cat "$tmp/dns")}]}}." >>"$dir/merlon.config" ;;
        *) echo "MERLON_EPMD is names, base, port, static, dns_srv or nothing, not $strategy"; return 1 ;;
    esac
}

# each_broker FORMAT: of each broker's node and port, with commas.
each_broker() {
    local number
    for number in 1 2 3 4; do
        # shellcheck disable=SC2059
        printf "$1" "rabbit$number@$host" "$(cat "$tmp/rabbit$number/dist")"
        [ $number = 4 ] || printf ', '
    done
}

# A name server that knows _rabbitN._tcp.rabbits.test; its port is in $tmp/dns.
dns() {
    local records
    records=$(each_broker '{"_%s", %s}') &&
        erlc -o "$tmp/ebin" "$root/test/erlang/merlon_dns.erl" || return 1
    erl -noshell -noinput -boot no_dot_erlang -pa "$tmp/ebin" -eval "
        Records = [{hd(string:split(Name, \"@\")) ++ \"._tcp.rabbits.test\", Port, lists:last(string:split(Name, \"@\"))} || {Name, Port} <- [$records]],
        {_, Port} = merlon_dns:start(Records),
        ok = file:write_file(\"$tmp/dns.new\", integer_to_list(Port)), ok = file:rename(\"$tmp/dns.new\", \"$tmp/dns\"),
        receive stop -> ok end." >"$tmp/dns.log" 2>&1 &
    started+=("$!")
    within 10 test -s "$tmp/dns" || { cat "$tmp/dns.log"; return 1; }
}

# ---- brokers ----

# machine NAME: its folder, and ports that nobody else has.
machine() {
    local base=$tmp/$1
    mkdir -p "$base" && free_port >"$base/port" && free_port >"$base/dist" && free_port >"$base/tools"
    printf 'total_memory_available_override_value = 2GB\ndisk_free_limit.absolute = 1MB\n' >"$base/rabbitmq.conf"
}

# settings NAME: what stands in /etc/rabbitmq/rabbitmq-env.conf of a machine; here for three on one.
settings() {
    local base=$tmp/$1
    export HOME=$tmp/home RABBITMQ_NODENAME=$1@$host RABBITMQ_BASE=$base RABBITMQ_MNESIA_BASE=$base/mnesia \
        RABBITMQ_LOG_BASE=$base/log RABBITMQ_PID_FILE=$base/pid RABBITMQ_ENABLED_PLUGINS_FILE=$base/plugins \
        RABBITMQ_CONFIG_FILE=$base/rabbitmq RABBITMQ_CONF_ENV_FILE=$base/env.conf RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
        RABBITMQ_FEATURE_FLAGS_FILE=$base/flags RABBITMQ_GENERATED_CONFIG_DIR=$base/config
    RABBITMQ_NODE_PORT=$(cat "$base/port")
    RABBITMQ_DIST_PORT=$(cat "$base/dist")
    RABBITMQ_CTL_DIST_PORT_MIN=$(cat "$base/tools")
    RABBITMQ_CTL_DIST_PORT_MAX=$((RABBITMQ_CTL_DIST_PORT_MIN + 20))
    export RABBITMQ_NODE_PORT RABBITMQ_DIST_PORT RABBITMQ_CTL_DIST_PORT_MIN RABBITMQ_CTL_DIST_PORT_MAX
}

no_epmd='-epmd_module merlon_epmd -start_epmd false'

# broker NAME: starts it; its VM's pid is in NAME/vm.
broker() {
    (
        settings "$1"
        # The script then becomes the VM.
        RUNNING_UNDER_SYSTEMD=true ERL_CRASH_DUMP=/dev/null exec "$sbin/rabbitmq-server" >>"$tmp/$1/out" 2>&1 </dev/null
    ) &
    echo $! >"$tmp/$1.vm"
    started+=("$!")
}

# tool NAME PROGRAM ARG...: rabbitmqctl and its like, at that broker.
tool() { (settings "$(broker_of "$1")" && timeout 60 "$sbin/$2" "${@:3}"); }
ctl() { tool "$1" rabbitmqctl "${@:2}"; }
up() { within 60 ctl "$1" await_startup --timeout 5 || { tail -n 40 "$tmp/$1/out"; ls "$tmp/$1/log" && tail -n 40 "$tmp/$1"/log/*.log; return 1; }; }
kill_hard() { kill -KILL "$(cat "$tmp/$1.vm")"; within 5 gone "$(cat "$tmp/$1.vm")"; }
evaluate() { ctl "$1" eval "$2"; }

all_up() {
    local name
    for name in $brokers; do broker "$name"; done
    for name in $brokers; do up "$name" || return 1; done
}

join() {
    local name
    for name in rabbit2 rabbit3; do
        ctl $name stop_app && ctl $name reset && ctl $name join_cluster rabbit1@$host && ctl $name start_app || return 1
    done
}

# Each broker's links to the others, all merlon's, none of a stranger.
all_secured() {
    local name answer
    for name in rabbit1 rabbit2 rabbit3; do
        answer=$(evaluate $name '
            Links = [{N, T, I} || #{node := N, tls_version := T, identity := {node, _, _, _} = I} <- merlon:connections()],
            {length(nodes()), length(Links), lists:usort([T || {_, T, _} <- Links]), lists:all(fun merlon:is_encrypted/1, nodes())}.') || return 1
        echo "$name: $answer"
        [ "$answer" = '{2,2,[<<"1.3">>],true}' ] || return 1
    done
}

# The tool's own link, as the broker sees it: a tool's identity, hidden.
comes_as_tool() {
    local answer
    answer=$(evaluate rabbit1 '[I || #{identity := {cli, _, _, _} = I} <- merlon:connections()].')
    echo "$answer"
    [ "$answer" = "[{cli,<<\"rabbits\">>,<<\"$(id -un)\">>,<<\"$host\">>}]" ]
}

# Makes the other brokers dial the tool.
lists_queues() { ctl rabbit1 list_queues name type members --silent | tee /dev/stderr | grep -q 'orders.*quorum'; }
tools() {
    ctl rabbit2 cluster_status --silent >/dev/null && tool rabbit3 rabbitmq-diagnostics ping && tool rabbit1 rabbitmq-diagnostics check_running &&
        tool rabbit2 rabbitmq-diagnostics check_port_connectivity && tool rabbit1 rabbitmq-queues check_if_node_is_quorum_critical &&
        tool rabbit1 rabbitmqctl list_connections --silent
}

# epmd runs, as RabbitMQ keeps it running, and has no broker's name and no tool's.
epmd_knows_nobody() {
    epmd -names
    ! epmd -names | grep '^name'
}

# ---- load ----

# Publishes with confirms and consumes, until $tmp/enough is there; its last line says what was confirmed and what came.
load() {
    erl -noshell -noinput -boot no_dot_erlang -pa "$tmp/ebin" "$plugins"/{amqp_client,rabbit_common,credentials_obfuscation,recon,jsx}-*/ebin \
        -eval 'rabbit_load:main().' -extra "$tmp/enough" "$(cat "$tmp/rabbit1/port")" "$(cat "$tmp/rabbit2/port")" >"$tmp/load.log" 2>&1 &
    loader=$!
    started+=("$loader")
    within 20 grep -q '^confirmed' "$tmp/load.log" || { cat "$tmp/load.log"; return 1; }
}

# Confirms go on while one of three is dead: at least 100 more within 10 s.
goes_on() {
    local before
    within 10 alone || return 1
    before=$(confirmed)
    within 10 more_than $((before + 100)) || { tail "$tmp/load.log"; return 1; }
}
alone() { [ "$(evaluate rabbit1 'nodes().')" = "[rabbit2@$host]" ]; }
confirmed() { awk '/^confirmed/ { n = $2 } END { print n + 0 }' "$tmp/load.log"; }
more_than() { [ "$(confirmed)" -gt "$1" ]; }

rejoins() {
    broker rabbit3 && up rabbit3 && within 30 all_secured &&
        within 30 sh -c "[ \"\$(ps -o pid= $(cat "$tmp/rabbit3.vm"))\" ]" && all_secured
}

nothing_lost() {
    touch "$tmp/enough"
    within 30 gone "$loader"
    tail -n 3 "$tmp/load.log"
    grep -q '^lost 0 ' "$tmp/load.log"
}

# ---- who stays outside ----

# It has the cookie, and a merlon dir of another CA with the same names.
stranger_refused() {
    new_dir "$tmp/stranger" rabbits stranger@$host || return 1
    erl -noshell -noinput -sname stranger@$host "${to_rabbit1[@]}" -pa "$ebin" -proto_dist merlon -merlon_dir "$tmp/stranger" \
        -setcookie "$(cat "$tmp/home/.erlang.cookie")" -eval "pang = net_adm:ping('rabbit1@$host'), halt()." &&
        within 5 grep -rqE 'merlon: refused .*(peer=|from=|address=)' "$tmp/rabbit1/log" || { tail -n 20 "$tmp"/rabbit1/log/*; return 1; }
}

plain_refused() {
    erl -noshell -noinput -sname plain@$host "${to_rabbit1[@]}" -setcookie "$(cat "$tmp/home/.erlang.cookie")" \
        -eval "pang = net_adm:ping('rabbit1@$host'), halt()."
}

# A broker without a certificate of its own does not come up as one of the cluster.
broker_without_certificate() {
    local status=0
    broker rabbit4
    within 40 gone "$(cat "$tmp/rabbit4.vm")" || status=1
    cat "$tmp/rabbit4/out"
    [ $status = 0 ] && grep -q "^merlon: there is no certificate for rabbit4_prelaunch_.* .merlon cert rabbit4@$host " "$tmp/rabbit4/out"
}

command -v apt-get >/dev/null || { echo 'rabbitmq.sh: needs apt-get, for rabbitmq-server' >&2; exit 1; }
[ "$(otp_release)" = 25 ] || { echo "rabbitmq.sh: RabbitMQ 3.10 of Debian 12 runs on OTP 25, this is $(otp_release)" >&2; exit 1; }
check 'the tree is built' test -s "$root/_build/default/lib/merlon/ebin/merlon.app" || finish
check 'RabbitMQ is unpacked' unpack || finish
sbin=$(echo "$cache"/root/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)
plugins=$(dirname "$sbin")/plugins
mkdir -p "$tmp/home" "$tmp/ebin"
head -c 24 /dev/urandom | base64 | tr -dc A-Za-z0-9 >"$tmp/home/.erlang.cookie" && chmod 600 "$tmp/home/.erlang.cookie"
check 'merlon is installed, with certificates for three brokers and the tools' prepare || finish
brokers='rabbit1 rabbit2 rabbit3'
if [ "$strategy" = port ]; then brokers=rabbit1; fi

of_three() {
    check 'they form a cluster' join
    check 'every link of every broker is TLS 1.3, bound to its node' all_secured
    check 'a quorum queue takes a load with publisher confirms' load
    check 'list_queues: brokers dial the tool' lists_queues
    check 'one broker is killed: confirms go on' eval 'kill_hard rabbit3 && goes_on'
    check 'it comes back, over secured links' rejoins
    check 'no confirmed message was lost' nothing_lost
    check 'a broker without a certificate does not come up' broker_without_certificate
}

if check "these brokers start: $brokers" all_up; then
    check 'rabbitmqctl comes as a tool' comes_as_tool
    [ "$brokers" = rabbit1 ] || of_three
    check 'rabbitmqctl, -diagnostics and -queues work' tools
    if [ -n "$strategy" ]; then check 'epmd knows no name' epmd_knows_nobody; fi
    # Strangers need no epmd to find a port.
    to_rabbit1=(-dist_listen false -erl_epmd_port "$(cat "$tmp/rabbit1/dist")")
    check 'a node with a certificate of another CA, and the cookie, is refused' stranger_refused
    check 'a node on plain TCP with the cookie is refused' plain_refused
fi
check 'nothing of the system is touched' system_untouched rabbit
finish
