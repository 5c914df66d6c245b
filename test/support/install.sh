#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building, testing and the demo need and this machine lacks. Debian 12 or newer; elsewhere
# it only says what is missing. Needs the network only when something is missing.
set -euo pipefail

# A command that must be there, and the Debian package that brings it.
needs="erl:erlang-nox erlc:erlang-dev escript:erlang-nox dialyzer:erlang-dialyzer mix:elixir rebar3:rebar3 cc:gcc
       make:make openssl:openssl strace:strace ps:procps ss:iproute2 tc:iproute2 git:git rsync:rsync
       debootstrap:debootstrap curl:curl flock:util-linux taskset:util-linux unshare:util-linux setsid:util-linux"
# Packages without a command, by a file that they bring.
files="/usr/include/stdio.h:libc6-dev /usr/lib/erlang/lib/ssl-*/src/inet_tls_dist.erl:erlang-src
       /usr/lib/erlang/usr/include/erl_nif.h:erlang-dev /usr/lib/erlang/lib/eunit-*/ebin:erlang-eunit
       /usr/lib/erlang/lib/common_test-*/ebin:erlang-common-test /usr/lib/erlang/lib/proper-*/ebin:erlang-proper"
# Nice to have, nothing fails without: plots of the benchmark.
extras="gnuplot:gnuplot-nox"

PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin

# absent COMMAND:PACKAGE...
absent() {
    local entry
    for entry; do
        command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
    done
}

missing() {
    local entry
    # shellcheck disable=SC2086
    absent $needs
    # Erlang from elsewhere than Debian brings these itself, in its own place.
    [ "$(command -v erl)" = /usr/bin/erl ] || [ -z "$(command -v erl)" ] || return 0
    for entry in $files; do
        compgen -G "${entry%%:*}" >/dev/null || echo "${entry#*:}"
    done
}

packages=$(missing | sort -u | tr '\n' ' ')
if [ -n "$packages" ]; then
    sudo=
    if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
    if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
        echo "missing, as Debian packages: $packages" >&2
        exit 1
    fi
    echo "installing: $packages"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
    # shellcheck disable=SC2086
    wished=$(absent $extras)
    # shellcheck disable=SC2086
    [ -z "$wished" ] ||
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $wished >/dev/null || true
    packages=$(missing | sort -u | tr '\n' ' ')
    [ -z "$packages" ] || { echo "still missing: $packages" >&2; exit 1; }
fi

wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$(dirname "$0")/../../Cargo.toml")
if ! command -v cargo >/dev/null; then
    echo "Rust $wanted or newer is missing: install it from https://rustup.rs" >&2
    exit 1
fi
found=$(cargo --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)" != "$wanted" ]; then
    echo "Rust $found is too old, $wanted or newer is needed: run \`rustup update stable\`" >&2
    exit 1
fi
