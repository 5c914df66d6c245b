#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each `{epmd, Strategy}` with what asks for nodes' ports (docs/guides/epmd.md): a release's start, rpc and remote, net_adm:names,
# erl -remsh and iex --remsh. With words as arguments those strategies only. RabbitMQ's tools: MERLON_EPMD=... rabbitmq.sh.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/terminal.sh"
export MIX_HOME=$tmp/mix MIX_ENV=prod USER
USER=$(id -un)
dir=$tmp/merlon
project=$tmp/shop
node=shop7@127.0.0.1
ebin=$root/_build/default/lib/merlon/ebin
carrier=(-proto_dist merlon -merlon_dir "$dir" -epmd_module merlon_epmd -start_epmd false)

# The arguments are those that the guide has for a release.
generate() {
    cd "$tmp" && mix new shop --sup && mkdir "$project/rel" &&
        sed -i "/defp deps do/{n;s|\[|[{:merlon, path: \"$root\"}|}" "$project/mix.exs" && cd "$project" &&
        printf 'export RELEASE_DISTRIBUTION=name RELEASE_NODE=%s\n' $node >rel/env.sh.eex &&
        printf '%s\n' '-proto_dist merlon' "-merlon_dir $dir" '-epmd_module merlon_epmd' '-start_epmd false' |
        tee rel/vm.args.eex >rel/remote.vm.args.eex && mix release
}

shop() { timeout 30 "$project/_build/prod/rel/shop/bin/shop" "$@"; }

# strategy WORD: as it stands in merlon.config; the node's port is in $port where the strategy says it.
strategy() {
    port=$(free_port)
    case $1 in
        daemon) port= && echo daemon ;;
        port) echo "{port, $port}" ;;
        base) echo "{base, $((port - 7))}" ;;
        static) echo "{static, [{'$node', \"127.0.0.1\", $port}, {'down@127.0.0.1', \"127.0.0.1\", 9}]}" ;;
        names) echo "{names, [{port, $port}]}" && port= ;;
        dns_srv) echo "{dns_srv, \"shop.test\", [{nameserver, \"127.0.0.1\", $(dns "$port")}]}" ;;
    esac
}

# dns PORT: a name server that knows the node there; says its own port.
dns() {
    erl -noshell -noinput -boot no_dot_erlang -pa "$tmp" -eval "
        {_, Port} = merlon_dns:start([{\"_shop7._tcp.shop.test\", $1, \"127.0.0.1\"}]),
        ok = file:write_file(\"$tmp/dns\", integer_to_list(Port)), receive stop -> ok end." >/dev/null 2>&1 &
    within 10 test -s "$tmp/dns" && cat "$tmp/dns"
}

configure() {
    strategy "$1" >"$tmp/strategy" && printf '{cluster, "shop"}.\n{epmd, %s}.\n' "$(cat "$tmp/strategy")" >"$dir/merlon.config" &&
        cat "$dir/merlon.config"
}

# It is where the strategy says, and epmd knows it only where that is asked for.
starts() {
    shop start >"$tmp/shop.log" 2>&1 </dev/null &
    server=$!
    started+=("$server")
    within 20 answers || { cat "$tmp/shop.log"; return 1; }
    vm=$(cat "$tmp/answer")
    [ -z "$port" ] || ss -ltnp | grep -F "127.0.0.1:$port " | grep -F "pid=$vm," || return 1
    if [ "$1" = daemon ]; then epmd -names | grep '^name shop7 '; else ! epmd -names | grep '^name'; fi
}
answers() { shop rpc 'IO.puts(System.pid())' >"$tmp/answer" && grep -qxE '[0-9]+' "$tmp/answer"; }

# From the node, and from a tool that is linked to it.
names() {
    local said
    said=$(shop rpc 'IO.inspect(for({:ok, names} <- [:net_adm.names()], {name, _} <- names, do: List.to_string(name)))') || return 1
    echo "$said"
    echo "$said" | grep -qF '"shop7"' && ! echo "$said" | grep -qF '"down"' || return 1
    said=$(timeout 20 erl -noshell -noinput -pa "$ebin" -name undefined@127.0.0.1 "${carrier[@]}" -setcookie "$cookie" -eval "
        true = net_kernel:connect_node('$node'), {ok, Names} = net_adm:names(\"127.0.0.1\"),
        io:format(\"~0p~n\", [[Name || {Name, _} <- Names]]), halt().") || return 1
    echo "$said"
    echo "$said" | grep -qF '"shop7"' && ! echo "$said" | grep -qF '"down"'
}

# shell PROMPT WORDS CMD...: a shell of the node opens, in which WORDS tell its process.
shell() {
    local status=0
    terminal "${@:3}"
    shows "$1" 20 || status=1
    if [ $status = 0 ]; then
        types "$2"
        shows "{me,\"$vm\"}" 10 || status=1
    fi
    keys '\034'
    ended && return $status
}

erl_words='io:format("~0p~n", [{me, os:getpid()}]).'
iex_words='IO.puts(:io_lib.format("~0p", [{:me, :os.getpid()}]))'
erl_remsh() { shell "($node)1>" "$erl_words" erl -pa "$ebin" -name undefined@127.0.0.1 "${carrier[@]}" -setcookie "$cookie" -remsh $node; }
iex_remsh() {
    shell "iex($node)1>" "$iex_words" iex --erl "-pa $ebin ${carrier[*]}" --cookie "$cookie" --name "rem-12ab-$node" --remsh $node
}
remote() { shell "iex($node)1>" "$iex_words" "$project/_build/prod/rel/shop/bin/shop" remote; }

stops() { shop stop && within 10 gone "$vm"; }

check 'a release' generate && check 'a name server for tests' erlc -o "$tmp" "$root/test/erlang/merlon_dns.erl" || finish
cookie=$(cat "$project/_build/prod/rel/shop/releases/COOKIE")
new_dir "$dir" shop $node && "$root/bin/merlon" cert --cli "$USER" 127.0.0.1 --dir "$dir" >/dev/null
for word in ${*:-port base static dns_srv names daemon}; do
    check "$word: configured" configure "$word" && check "$word: a release starts, and rpc reaches it" starts "$word" || continue
    check "$word: net_adm:names" names
    check "$word: release remote" remote
    check "$word: erl -remsh" erl_remsh
    check "$word: iex --remsh" iex_remsh
    check "$word: release stop" stops
done
finish
