#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# examples/phoenix_cluster: three nodes that find each other by DNS, over merlon. The real app where PHOENIX_SOURCES is a
# folder with the sources of phoenix, bandit, dns_cluster and all that they depend on, each in a folder of its name, and
# Elixir is 1.18 or newer; else a stand-in on plain OTP in the same release. The first line says which it was. With the
# sources of phoenix_live_dashboard among them, the app has a dashboard with Merlon.LiveDashboard.Page.
#
# Sources are path dependencies. The stand-in takes, where Hex is, what `mix.exs` says: merlon, and packages with nothing in them that
# are called phoenix and so on, from a repository on this machine in the place of hex.pm. `phoenix.sh --hex`: the real app too, in packages
# made of these sources.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/hex.sh"
. "$fixtures/projects.sh"
. "$fixtures/terminal.sh"
export MIX_HOME=$tmp/mix MIX_ENV=prod MIX_REBAR3=${MIX_REBAR3:-$(command -v rebar3)} MERLON_DIR=$tmp/merlon
export SHOP_SOURCES=$tmp/sources SECRET_KEY_BASE=0123456789012345678901234567890123456789012345678901234567890123 SHOP_DNS=shop.internal
project=$tmp/shop
mode=${1:-}
case $mode in '' | --hex) ;; *) echo "phoenix.sh: unknown argument $mode: there is --hex" >&2; exit 2 ;; esac

real() {
    [ -n "${PHOENIX_SOURCES:-}" ] && elixir -e 'unless Version.match?(System.version(), "~> 1.18"), do: System.halt(1)'
}

from_hex() { has_hex && { [ "$mode" = --hex ] || ! real; }; }

dashboard() { real && ! from_hex && [ -d "$PHOENIX_SOURCES/phoenix_live_dashboard" ]; }

app() {
    cp -r "$root/examples/phoenix_cluster" "$project" && { real || { rm -r "$project/lib" && cp -r "$fixtures/plain_shop" "$project/lib"; }; }
}

# As path dependencies.
sources() {
    mkdir "$SHOP_SOURCES" && ln -s "$root" "$SHOP_SOURCES/merlon" || return 1
    if real; then
        ln -s "$PHOENIX_SOURCES"/* "$SHOP_SOURCES/" && if dashboard; then with_dashboard; fi
    else
        sed -i 's/~> 1\.18/~> 1.14/' "$project/mix.exs"
    fi
}

# From hex, and mix.exs as it is.
packages() {
    local each
    unset SHOP_SOURCES
    mkdir "$tmp/packages" && copy_tree "$tmp/packages/merlon" || return 1
    if real; then cp -rL "$PHOENIX_SOURCES"/* "$tmp/packages/" || return 1
    else stand_ins || return 1
    fi
    for each in "$tmp/packages"/*/; do
        cd "$each" && mix hex.build || { echo "no package of $each"; return 1; }
    done
    repository "$tmp/packages"/*/*.tar && cd "$project" && mix deps.get && age deps && cat mix.lock && cmp mix.exs "$root/examples/phoenix_cluster/mix.exs" || return 1
    for each in $(dependencies | cut -d' ' -f1); do grep -F "\"$each\": {:hex, :$each, " mix.lock || return 1; done
}

# NAME VERSION, of each dependency in mix.exs.
dependencies() { sed -n 's/^ *{:\([a-z_]*\), "~> \([0-9.]*\)"},\{0,1\}$/\1 \2/p' "$root/examples/phoenix_cluster/mix.exs"; }

stand_ins() {
    local name version
    [ "$(dependencies | wc -l)" = 4 ] || return 1
    while read -r name version; do
        [ "$name" != merlon ] || continue
        mkdir -p "$tmp/packages/$name/lib" && printf "defmodule :stand_in_%s do\nend\n" "$name" >"$tmp/packages/$name/lib/stand_in.ex" || return 1
        cat >"$tmp/packages/$name/mix.exs" <<EXS || return 1
defmodule ${name^}.StandIn do
  use Mix.Project

  def project do
    [app: :$name, version: "$version.0", description: "Nothing, under this name", package: [licenses: ["Apache-2.0"], links: %{}]]
  end
end
EXS
    done < <(dependencies)
}

# The page is compiled where the dashboard is there when merlon is: a merlon that depends on it.
with_dashboard() {
    rm "$SHOP_SOURCES/merlon" && copy_tree "$SHOP_SOURCES/merlon" && cp "$fixtures"/dashboard/*.ex "$project/lib/shop_web/" &&
        sed -i "s|deps: \[\],|deps: [{:phoenix_live_dashboard, path: \"$SHOP_SOURCES/phoenix_live_dashboard\"}],|" "$SHOP_SOURCES/merlon/mix.exs" &&
        echo 'config :shop, ShopWeb.Endpoint, live_view: [signing_salt: "of a test"]' >>"$project/config/config.exs"
}

# The lines of its README that match.
readme() { sed -n '/^    /{s/^    //; s/ *#.*//; p}' "$root/examples/phoenix_cluster/README.md" | grep -E "$1"; }

assembled() {
    local name
    cd "$project" && bash -euc "$(readme '^mix ')" || return 1
    for name in $(dependencies | cut -d' ' -f1); do
        [ "$name" = merlon ] || real || from_hex || continue
        ls -d "_build/prod/rel/shop/lib/$name"-* || return 1
    done
}

# All nodes are called `shop`, each at an address and without epmd, as in containers. A tool listens to nobody.
port=$(free_port)
names="-start_epmd false -erl_epmd_port $port"
tool="$names -dist_listen false"
address() { echo "{127,0,0,$1}"; }

name_server() {
    local dns
    dns=$(free_port)
    escript "$fixtures/dns.escript" "$dns" 127.0.0.1 127.0.0.2 127.0.0.3 >"$tmp/dns.log" 2>&1 &
    started+=($!)
    printf '{resolv_conf, "/dev/null"}.\n{nameserver, {127,0,0,1}, %s}.\n' "$dns" >"$tmp/inetrc"
    export ERL_INETRC=$tmp/inetrc
}

# node_at N COMMAND...: of the release on 127.0.0.N.
node_at() {
    RELEASE_NODE=shop@127.0.0.$1 ELIXIR_ERL_OPTIONS=$tool timeout 30 "$project/_build/prod/rel/shop/bin/shop" "${@:2}"
}
rpc() { node_at "$1" rpc "$2"; }

start_node() {
    local n=$1 here="-kernel inet_dist_use_interface $(address "$1") inet_dist_listen_min $port inet_dist_listen_max $port"
    web[n]=$(free_port)
    RELEASE_NODE=shop@127.0.0.$n PORT=${web[n]} RELEASE_TMP=$tmp/run$n ELIXIR_ERL_OPTIONS="$names $here" \
        "$project/_build/prod/rel/shop/bin/shop" start >"$tmp/node$n.log" 2>&1 &
    nodes[n]=$!
    started+=("${nodes[n]}")
}

starts() {
    local n
    for n in 1 2 3; do start_node $n; done
    for n in 1 2 3; do within 20 node_at $n pid || { node_at $n pid; cat "$tmp/node$n.log"; return 1; }; done
}

# linked N COUNT: that many nodes, each link merlon's; a tool's link is hidden.
linked() { [ "$(rpc "$1" "IO.inspect({length(Node.list()), Enum.all?(Node.list(), &Merlon.encrypted?/1)})")" = "{$2, true}" ]; }

discovered() { local n; for n in 1 2 3; do within 15 linked $n 2 || { rpc $n 'IO.inspect({node(), Node.list(), :inet_res.lookup(~c"shop.internal", :in, :a)})'; return 1; }; done; }

# says N TEXT ELIXIR: that is what ELIXIR prints there.
says() { local said; said=$(rpc "$1" "$3") || return 1; echo "$said"; [ "$said" = "$2" ]; }

# One node listens, another one speaks.
published() {
    says 1 ready 'me = self(); pid = spawn(fn -> Shop.subscribe("lobby"); send(me, :up); receive do %{event: "said", payload: %{text: text}} -> :persistent_term.put(:heard, {text, node()}) end end); Process.register(pid, :listener); receive do :up -> IO.puts("ready") end' &&
        rpc 3 'Shop.say("lobby", "hello from 3")' && within 5 says 1 '{"hello from 3", :"shop@127.0.0.1"}' 'IO.inspect(:persistent_term.get(:heard, nil))'
}

# Who is on one node is known on the others, and no more when it has left.
present() {
    rpc 2 'pid = spawn(fn -> Process.sleep(:infinity) end); Process.register(pid, :guest); Shop.enter("lobby", pid, "joe")' &&
        within 10 says 3 '[{"joe", :"shop@127.0.0.2"}]' 'IO.inspect(Shop.present("lobby"))' &&
        rpc 2 'Process.exit(Process.whereis(:guest), :kill)' && within 10 says 3 '[]' 'IO.inspect(Shop.present("lobby"))'
}

# A browser on node 2 hears what is said on node 1, and is present for node 3.
channel() {
    escript "$fixtures/channel.escript" "${web[2]}" mia >"$tmp/channel" 2>&1 &
    local client=$!
    started+=("$client")
    within 10 grep -q '"status":"ok"' "$tmp/channel" && within 10 says 3 '[{"mia", :"shop@127.0.0.2"}]' 'IO.inspect(Shop.present("lobby"))' &&
        rpc 1 'Shop.say("lobby", "hello, browser")' && within 10 grep -q '"said",{"text":"hello, browser"}' "$tmp/channel"
    local status=$?
    stop "$client"
    cat "$tmp/channel"
    return $status
}

# column N PATH FIELD...: of the table on that page of node N's endpoint, as one line for each field.
column() {
    erl -noshell -noinput -boot no_dot_erlang -eval '
        [Url | Fields] = init:get_plain_arguments(),
        {ok, _} = application:ensure_all_started(inets),
        {ok, {{_, 200, _}, _, Html}} = httpc:request(get, {Url, []}, [], []),
        Cells = fun(Field) ->
                        case re:run(Html, "<td class=\"merlon-links-" ++ Field ++ "[ \"][^>]*>([^<]*)<", [global, {capture, all_but_first, list}]) of
                            {match, Found} -> [string:trim(Cell) || [Cell] <- Found];
                            nomatch -> []
                        end
                end,
        [io:format("~s~n", [lists:join($\s, Cells(Field))]) || Field <- Fields], halt().' -extra "http://127.0.0.1:${web[$1]}$2" "${@:3}"
}

# links_on N PATH TEXT: who is in the table, soon: a tool that asked a moment ago may still be there.
links_on() { within 10 in_table "$@" || { column "$1" "$2" node peer; return 1; }; }
in_table() { [ "$(column "$1" "$2" node)" = "$3" ]; }

# The page that is compiled with merlon, and the app's own: to whom node 2 is linked and how, and when those certificates end.
dashboard_shows() {
    local links='Merlon.connections() |> Enum.filter(&String.starts_with?(to_string(&1.node), "shop@")) |> Enum.sort_by(& &1.node)' ends page
    ends=$(rpc 2 "$links |> Enum.map_join(\" \", &DateTime.to_iso8601(&1.not_after)) |> IO.puts()") || return 1
    for page in merlon own; do
        links_on 2 /dashboard/$page 'shop@127.0.0.1 shop@127.0.0.3' || return 1
        column 2 /dashboard/$page carrier certificate_ends cipher_suite | tee "$tmp/columns"
        [ "$(sed -n 1p "$tmp/columns")" = 'merlon merlon' ] && [ "$(sed -n 2p "$tmp/columns")" = "$ends" ] && [ "$(wc -w <"$tmp/columns")" = 6 ] || return 1
    done
}

# One endpoint shows the links of every node of the cluster.
dashboard_elsewhere() { links_on 2 /dashboard/shop%40127.0.0.3/merlon 'shop@127.0.0.1 shop@127.0.0.2'; }

dashboard_searches() { links_on 2 '/dashboard/merlon?search=127.0.0.3' shop@127.0.0.3; }

remote() {
    local status=0
    terminal env RELEASE_NODE=shop@127.0.0.1 ELIXIR_ERL_OPTIONS="$tool" "$project/_build/prod/rel/shop/bin/shop" remote
    shows 'iex(shop@127.0.0.1)1>' 20 || status=1
    types 'IO.inspect({:here, length(Node.list())})'
    shows '{:here, 2}' 10 || status=1
    keys '\034'
    ended && return $status
}

# A new certificate under live links: another one is in use, and no link has gone down for it.
reloaded() {
    local before='IO.inspect(Merlon.connections() |> Enum.filter(&(&1.node == :"shop@127.0.0.1")) |> Enum.map(&{&1.since, &1.fingerprint}), width: 500)' old new
    old=$(rpc 2 "$before") && "$root/bin/merlon" renew shop@127.0.0.1 --dir "$MERLON_DIR" >/dev/null &&
        rpc 1 'Merlon.reload()' && within 10 other "$old" || return 1
    new=$(rpc 2 "$before")
    printf '%s\n' "$old" "$new"
    [ "$(echo "$old" | cut -d, -f1)" = "$(echo "$new" | cut -d, -f1)" ]
}
other() { new=$(rpc 2 "$before") && [ -n "$new" ] && [ "$new" != '[]' ] && [ "$new" != "$1" ]; }

# What is settled in runtime.exs counts.
configured() { says 2 60 'IO.inspect(:merlon_node.config().grace)'; }

# A node of the same name, cookie and code that has no certificate stays out.
stranger() {
    mv "$MERLON_DIR/nodes/shop@127.0.0.3" "$tmp/away" && node_at 3 stop && within 10 gone "${nodes[3]}" || return 1
    start_node 3
    within 10 gone "${nodes[3]}" && grep -F 'merlon: there is no certificate for shop@127.0.0.3' "$tmp/node3.log" && linked 1 1 || return 1
    mv "$tmp/away" "$MERLON_DIR/nodes/shop@127.0.0.3"
    start_node 3
    within 30 linked 1 2
}

# The other lines of its README as they stand there, but for names of places.
as_it_says() {
    local commands port
    port=$(free_port) || return 1
    commands=$(readme '^[^m]|^merlon ' | sed -e "s|10\.0\.0\.1|127.0.0.1|g; s|--dir DIR|--dir $tmp/readme|; s|=DIR |=$tmp/readme |; s|PORT=4001|PORT=$port|" \
        -e "s|64-random-characters\.\.\.|$SECRET_KEY_BASE|; s|bin/shop start|bin/shop daemon|")
    echo "$commands"
    [ "$(echo "$commands" | wc -l)" = 6 ] || return 1
    (
        cd "$project" && unset ELIXIR_ERL_OPTIONS && export RELEASE_TMP=$tmp/readme-run && USER=$(id -un) bash -euc "$commands" || exit 1
        export MERLON_DIR=$tmp/readme RELEASE_NODE=shop@127.0.0.1
        within 20 _build/prod/rel/shop/bin/shop pid || { cat "$RELEASE_TMP"/log/*; exit 1; }
        _build/prod/rel/shop/bin/shop rpc 'IO.inspect(Merlon.connections())' | tee "$tmp/readme-run/said"
        _build/prod/rel/shop/bin/shop stop && grep -F 'tls_version: "1.3"' "$tmp/readme-run/said"
    )
}

stops() { local n; for n in 1 2 3; do node_at $n stop && within 10 gone "${nodes[n]}" || return 1; done; }

declare -a web nodes
[ -z "$mode" ] || has_hex || { echo 'phoenix.sh: --hex: Hex is not here (it is in the OTP 27 root)' >&2; exit 2; }
if from_hex; then how='its dependencies from a hex repository'; else how='its dependencies as sources'; fi
if real; then echo "phoenix: the real Phoenix, $how"; else echo "phoenix: a stand-in on plain OTP (no PHOENIX_SOURCES, or Elixir is older than 1.18), $how"; fi
check 'the app' app || finish
if from_hex; then check 'its dependencies come from hex, signed, as mix.exs says' packages; else check 'its dependencies, as sources' sources; fi || finish
check 'a release' assembled || finish
new_dir "$MERLON_DIR" shop shop@127.0.0.1 shop@127.0.0.2 shop@127.0.0.3
for n in 1 2 3; do "$root/bin/merlon" cert --cli "$(id -un)" 127.0.0.$n --dir "$MERLON_DIR" >/dev/null; done
check 'a name server' name_server
check 'three nodes start' starts || finish
check 'they find each other by DNS, over merlon' discovered
check 'config :merlon in runtime.exs counts' configured
check 'PubSub: what one says, another hears' published
check 'Presence: who is where is known everywhere' present
if real; then check 'a channel: a browser on one node hears another node' channel; fi
if dashboard; then
    check 'LiveDashboard: links and the ends of certificates on the page of merlon, and of the app' dashboard_shows
    check 'LiveDashboard: those of another node' dashboard_elsewhere
    check 'LiveDashboard: searched' dashboard_searches
else
    echo 'left    LiveDashboard: no phoenix_live_dashboard in PHOENIX_SOURCES'
fi
check 'remote: a shell on one of them' remote
check 'a new certificate under live links' reloaded
check 'a node without a certificate stays out, and comes back with one' stranger
check 'stop' stops
check 'its README, as it stands there' as_it_says
finish
