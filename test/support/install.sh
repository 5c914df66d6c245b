#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building and testing need and this machine lacks. Debian 12 or newer; elsewhere it only says
# what is missing. Needs the network only when something is missing.
#
#   install.sh           also what single tests need: what can't be had is told, those tests are left, and nothing fails
#   install.sh needed    what nothing works without, the demo included
set -euo pipefail

# A command that must be there, and the Debian package that brings it.
needs="erl:erlang-nox erlc:erlang-dev escript:erlang-nox dialyzer:erlang-dialyzer mix:elixir rebar3:rebar3 cc:gcc
       make:make openssl:openssl strace:strace ps:procps ss:iproute2 tc:iproute2 git:git rsync:rsync
       debootstrap:debootstrap curl:curl flock:util-linux taskset:util-linux unshare:util-linux setsid:util-linux"
# Packages without a command, by a file that they bring.
files="/usr/include/stdio.h:libc6-dev /usr/lib/erlang/lib/ssl-*/src/inet_tls_dist.erl:erlang-src
       /usr/lib/erlang/usr/include/erl_nif.h:erlang-dev /usr/lib/erlang/lib/eunit-*/ebin:erlang-eunit
       /usr/lib/erlang/lib/common_test-*/ebin:erlang-common-test /usr/lib/erlang/lib/proper-*/ebin:erlang-proper"
# Status page in a browser, servers and auditors of Python, auditors of npm, plots, losses and a reference of the benchmarks.
extras="chromium:chromium python3:python3 node:nodejs npm:npm gnuplot:gnuplot-nox nft:nftables argon2:argon2"

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

wished() {
    # shellcheck disable=SC2086
    absent $extras
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
}

# can_install: as root, or with sudo.
can_install() { command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# get PACKAGE...
get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }

packages=$(missing | sort -u | tr '\n' ' ')
if [ -n "$packages" ]; then
    can_install || { echo "missing, as Debian packages: $packages" >&2; exit 1; }
    echo "installing: $packages"
    as_root apt-get update -qq
    # shellcheck disable=SC2086
    get $packages
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
[ "${1:-}" != needed ] || exit 0

# Each by itself: one that can't be had keeps no other away.
if [ -n "$(wished)" ] && can_install; then
    as_root apt-get update -qq || true
    for package in $(wished); do
        echo "installing: $package"
        get "$package" || true
    done
fi
for package in $(wished); do echo "not installed, some tests are left without it: $package"; done

# Where Rust is rustup's, and its servers can be reached: who did not answer once is not asked again.
reached=yes
for target in $("$(dirname "$0")/targets.sh" --list); do
    [ ! -d "$(rustc --print target-libdir --target "$target")" ] || continue
    [ $reached = no ] || { command -v rustup && timeout 120 rustup target add "$target"; } >/dev/null 2>&1 || reached=no
    [ $reached = yes ] || echo "not installed, its check is left: Rust's standard library for $target"
done
