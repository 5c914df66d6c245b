#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/guides/deploy.md: its commands as they stand there, in an Elixir release and a rebar3 release; the Dockerfile's own
# steps, its entrypoint, and two pods' worth of nodes with the settings of kubernetes.yaml.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/guide.sh"
. "$fixtures/terminal.sh"
guide=$root/docs/guides/deploy.md
example=$root/examples/phoenix_cluster
user=$(id -un)
export PATH=$root/bin:$PATH USER=$user MIX_HOME=$tmp/mix REBAR_CACHE_DIR=$tmp/rebar3 PIPE_DIR=$tmp/pipe/
dir=$tmp/merlon
node=shop@127.0.0.1

mix_project() {
    cd "$tmp" && mix new shop --sup && sed -i "/defp deps do/{n;s|\[|[{:merlon, path: \"$root\"}|}" "$tmp/shop/mix.exs"
}

# With the release's cookie where Erlang looks for it.
shell() {
    local commands status=0
    commands=$(recipe shell)
    mkdir "$tmp/home" && cp "$tmp/shop/_build/prod/rel/shop/releases/COOKIE" "$tmp/home/.erlang.cookie" && chmod 400 "$tmp/home/.erlang.cookie"
    terminal env HOME="$tmp/home" NODE=$node DIR="$dir" sh -euc "$commands"
    shows "($node)1>" 20 || status=1
    leaves_shell
    ended && return $status
}

# A host without Erlang and Rust: a PATH with all else. The node answers a VM that the command starts for a moment.
release_alone() {
    mkdir "$tmp/no-erlang" && ln -s /usr/bin/* "$tmp/no-erlang/" && rm -f "$tmp/no-erlang"/{erl,erlc,escript,epmd,elixir,iex,mix,cargo,rebar3} || return 1
    (export PATH=$tmp/no-erlang && ! command -v erl && says "the peer would take the link" follow release-alone "$tmp/shop")
}

says() { local words=$1; shift; "$@" | tee "$tmp/said" && grep -qF -- "$words" "$tmp/said"; }

rebar3_project() {
    cp -r "$root/examples/rebar3_release" "$tmp/rebar3_release" && mkdir "$tmp/rebar3_release/_checkouts" &&
        ln -s "$root" "$tmp/rebar3_release/_checkouts/merlon"
}

# ---- the image ----

# The example's release around a stand-in for its app: what is tried here is the image. Lines that fetch are left out.
dockerfile() {
    mkdir "$tmp/sources" && ln -s "$root" "$tmp/sources/merlon" && cp -r "$example" "$tmp/image" && cd "$tmp/image" &&
        rm -r lib && cp -r "$fixtures/plain_shop" lib && sed -i 's/~> 1\.18/~> 1.14/' mix.exs || return 1
    sed -n 's/^RUN \(mix .*\)/\1/p' Dockerfile | grep -v local.hex >"$tmp/steps"
    [ -e .dockerignore ] && [ "$(wc -l <"$tmp/steps")" = 2 ] && MIX_ENV=prod SHOP_SOURCES=$tmp/sources sh -eux "$tmp/steps" && cp entrypoint.sh out/
}

# The image's own check, of this release.
image_loads() {
    local step
    step=$(sed -n 's/^RUN \(.* eval .*\)/\1/p' "$example/Dockerfile" | sed "s|/shop/bin|$tmp/image/out/bin|; s|RELEASE_TMP=/tmp|RELEASE_TMP=$tmp|")
    [ -n "$step" ] && sh -euxc "$step" && mv "$tmp/image/out"/lib/merlon-*/priv/merlon_nif.so "$tmp/nif" && ! sh -euxc "$step" && mv "$tmp/nif" "$(echo "$tmp/image/out"/lib/merlon-*/priv)/merlon_nif.so"
}

# The mounts: what is in the ConfigMap, and the keyring behind the links that Kubernetes makes.
mounts() {
    local made=$tmp/made
    dir=$made follow keyring "$tmp" && mkdir -p "$tmp/etc" "$tmp/run/..2026" &&
        cp "$made/keyring" "$tmp/run/..2026/keyring" && chmod 440 "$tmp/run/..2026/keyring" &&
        ln -s ..2026 "$tmp/run/..data" && ln -s ..data/keyring "$tmp/run/keyring" &&
        awk '/merlon.config: \|/ { inside = 1; next } /^---/ { inside = 0 } inside { sub(/^    /, ""); print }' "$example/kubernetes.yaml" |
            sed "s|/run/merlon|$tmp/run|" >"$tmp/etc/merlon.config" && grep -F "$tmp/run/keyring" "$tmp/etc/merlon.config"
}

pod() {
    env POD_IP="127.0.0.$1" DIST_PORT="$port" MERLON_DIR="$tmp/etc" RELEASE_TMP="$tmp/pod$1" SECRET_KEY_BASE=none SHOP_DNS=nowhere.invalid \
        "$tmp/image/out/entrypoint.sh" "${@:2}"
}

pods_link() {
    local n
    port=$(free_port)
    for n in 2 3; do
        pod $n start >"$tmp/pod$n.log" 2>&1 &
        started+=($!)
    done
    for n in 2 3; do within 20 pod $n pid || { pod $n pid; cat "$tmp/pod$n.log"; return 1; }; done
    says true pod 2 rpc 'IO.inspect(Node.connect(:"shop@127.0.0.3"))' &&
        within 5 says true pod 2 rpc 'IO.inspect(Merlon.encrypted?(:"shop@127.0.0.3"))' &&
        says '{:node, "shop", "shop", "127.0.0.3"}' pod 2 rpc 'IO.inspect(hd(Enum.filter(Merlon.connections(), &(&1.node == :"shop@127.0.0.3"))).identity)'
}

pods_stop() { pod 2 stop && pod 3 stop; }

check 'identities' follow identities "$tmp" || finish
if check 'mix: a project' mix_project && check 'mix: set up and released' follow mix-setup "$tmp/shop"; then
    check 'mix: starts' follow mix-start "$tmp/shop"
    within 20 follow mix-ask "$tmp/shop"
    check 'mix: says how a tool is linked' says 'tls_version: "1.3"' follow mix-ask "$tmp/shop"
    check 'a shell' shell
    check 'a host with the release alone has the commands' release_alone
    check 'mix: stops' follow mix-stop "$tmp/shop"
fi
if check 'rebar3: the example' rebar3_project && check 'rebar3: released' follow rebar3-build "$tmp/rebar3_release"; then
    check 'rebar3: starts' follow rebar3-start "$tmp/rebar3_release"
    within 20 follow rebar3-ask "$tmp/rebar3_release"
    check 'rebar3: says how a tool is linked' says 'tls_version => <<"1.3">>' follow rebar3-ask "$tmp/rebar3_release"
    check 'rebar3: stops' follow rebar3-stop "$tmp/rebar3_release"
fi
if check 'container: the steps of the Dockerfile' dockerfile && check 'container: its last step loads the library' image_loads && check 'Kubernetes: settings and keyring, mounted' mounts; then
    check 'Kubernetes: two pods link' pods_link
    check 'Kubernetes: they stop' pods_stop
fi
finish
