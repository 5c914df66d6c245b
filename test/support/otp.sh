#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A Debian root with another OTP than the host's, for running the tests there: OTP 27 and Elixir 1.18 of Debian 13, or with
# MERLON_OTP=29 OTP 29 and Elixir 1.20 of Debian testing.
#
#   otp.sh prepare              make the root, or bring it up to date
#   otp.sh run [-C DIR] CMD...  run CMD in DIR (default: this checkout) inside the root, at the same path
#   otp.sh path                 print where the root is
#
# The root shares the host's network, so nodes on both sides can form one cluster. Mounts live in a private mount
# namespace and vanish with the command, so two runs do not disturb each other and nothing has to be cleaned up.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd -P)
cache=${MERLON_CACHE:-$HOME/.cache/merlon}
otp=${MERLON_OTP:-27}
root=$cache/otp$otp-root
case $otp in
    27) suite=trixie fresh=true ;;
    # Lists of Debian testing end after a week, which a mirror that stands still outlives. They are signed all the same.
    29) suite=forky fresh=false ;;
    *) echo "otp.sh: there is no root for MERLON_OTP=$otp: 27 or 29" >&2; exit 2 ;;
esac
packages="erlang-nox erlang-dev erlang-src erlang-proper elixir erlang-hex rebar3 gcc libc6-dev make openssl procps iproute2 iptables
          strace git rsync ca-certificates locales-all nftables"
ready=$root/.merlon-ready
# Raise it when `packages` changes: every older root is then brought up to date.
edition=4

main() {
    case ${1:-prepare} in
        prepare) locked prepare ;;
        run) shift; locked prepare >&2; run "$@" ;;
        path) echo "$root" ;;
        *) sed -n '3,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
}

# One at a time: two runs at once must not both install.
locked() {
    mkdir -p "$cache"
    exec 9>"$cache/otp$otp.lock"
    flock 9
    "$@"
    exec 9>&-
}

prepare() {
    if [ "$(cat "$ready" 2>/dev/null)" != $edition ]; then
        # What was not made to the end is made again.
        { [ -e "$root/bin/sh" ] && [ ! -e "$root/debootstrap" ]; } || bootstrap
        as_root rm -f "$ready"
        network
        # shellcheck disable=SC2086
        inside "$root" / sh -c "apt-get -o Acquire::Check-Valid-Until=$fresh update -qq && \
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(echo $packages) >/dev/null"
        # Testing moves on.
        local has
        has=$(inside "$root" / erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')
        [ "$has" = "$otp" ] || { echo "otp.sh: Debian's $suite has OTP $has now, not $otp" >&2; exit 1; }
        echo $edition | as_root tee "$ready" >/dev/null
    fi
    network
}

bootstrap() {
    command -v debootstrap >/dev/null || { echo "otp.sh: debootstrap is missing: run test/support/install.sh" >&2; exit 1; }
    # Debian 12's debootstrap knows nothing newer than trixie by name; all have one script.
    as_root debootstrap --variant=minbase "$suite" "$root" "$(mirror)" /usr/share/debootstrap/scripts/sid >/dev/null
}

# The mirror that the host itself uses, so that a local one is honoured.
mirror() {
    { sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null
      sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null
      echo http://deb.debian.org/debian; } | grep -m1 -v security
}

# Names, resolver and apt's proxy follow the host, which may have changed since the last run.
network() {
    as_root cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump 2>/dev/null | grep -i '^Acquire::https\{0,1\}::proxy' |
        as_root tee "$root/etc/apt/apt.conf.d/90host-proxy" >/dev/null || true
}

run() {
    local dir=$here
    if [ "${1:-}" = -C ]; then dir=$(cd "$2" && pwd -P); shift 2; fi
    [ $# -gt 0 ] || { echo "otp.sh run: no command given" >&2; exit 2; }
    inside "$root" "$dir" "$@"
}

# inside ROOT DIR CMD...: the folders that a build needs keep their paths; each is mounted only if the host has it.
inside() {
    as_root env HOME="$HOME" PATH="$HOME/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        unshare --mount --propagation private bash -euc '
            root=$1; dir=$2; home=$3; cache=$4; shift 4
            # A mount point of its own, or `ip netns exec` cannot work in it.
            mount --bind "$root" "$root"
            share() { [ -e "$1" ] || return 0; mkdir -p "$root$1"; mount --rbind "$1" "$root$1"; }
            mount -t proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
            mount --rbind /sys "$root/sys"
            if [ "$dir" != / ]; then
                # One /tmp, so that nodes inside and outside can use one merlon dir.
                share /tmp; share "$home/.cargo"; share "$home/.rustup"; share "$dir"
                # The root lives in the cache: only the parts of it that a build writes go inside.
                mkdir -p "$cache/plt"; share "$cache/plt"
            fi
            roots=/etc/ssl/certs/ca-certificates.crt
            if [ -s "$roots" ] && [ -s "$root$roots" ]; then mount --bind "$roots" "$root$roots"; fi
            exec chroot "$root" sh -c "cd \"\$0\" && exec \"\$@\"" "$dir" "$@"
        ' inside "$1" "$2" "$HOME" "$cache" "${@:3}"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo --preserve-env "$@"; fi
}

main "$@"
