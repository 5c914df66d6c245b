#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two network namespaces with a link between them, as two machines would have. Needs root.
#
#   net.sh up ID NETWORK   make them; prints their names, which are also the host names in them
#   net.sh down ID         end what runs in them and remove them
#
# NETWORK: 1gbit, 10gbit; 1gbit_1ms: with a round trip of 1 ms; 1pct_loss: of packets, in each direction.
# When the machine does not allow it, `up` leaves nothing behind, says why and exits with 1.
set -uo pipefail

PATH=$PATH:/usr/sbin:/sbin
a=mb${2:?ID}a
b=mb${2}b

main() {
    case $1 in
        up) up "$(shaper "${3:?NETWORK}")" && echo "$a $b" ;;
        down) down ;;
        *) echo "net.sh: up or down" >&2; exit 2 ;;
    esac
}

# Tail drop after 10 ms of queue, as a small switch has it.
shaper() {
    case $1 in
        1gbit) echo tbf rate 1gbit burst 256kb latency 10ms ;;
        10gbit) echo tbf rate 10gbit burst 2500kb latency 10ms ;;
        1gbit_1ms) echo netem rate 1gbit delay 500us limit 1000 ;;
        1pct_loss) echo netem loss 1% limit 10000 ;;
        *) echo "net.sh: unknown network $1" >&2; exit 2 ;;
    esac
}

up() {
    local said
    [ "$(id -u)" = 0 ] || { echo "needs root"; return 1; }
    for tool in ip tc; do command -v $tool >/dev/null || { echo "$tool is missing: install iproute2"; return 1; }; done
    if ! said=$(namespaces 2>&1); then echo "no network namespaces: $said"; down; return 1; fi
    if ! said=$(shape "$1" 2>&1) && ! said=$said$(without_netem "$1" 2>&1); then
        echo "this kernel has no tc ${1%% *}: $said"
        down
        return 1
    fi
}

# The link is made inside the namespaces: nothing of it is ever seen outside.
namespaces() {
    local name
    for name in $a $b; do
        mkdir -p "/etc/netns/$name" &&
            printf '127.0.0.1 localhost\n10.0.0.1 %s\n10.0.0.2 %s\n' "$a" "$b" >"/etc/netns/$name/hosts" &&
            ip netns add "$name" && ip -n "$name" link set lo up || return 1
    done
    ip -n "$a" link add link0 type veth peer name link0 netns "$b" &&
        address "$a" 10.0.0.1 && address "$b" 10.0.0.2
}

# What TCP has learnt about the path in one measure must not serve the next.
address() {
    ip -n "$1" addr add "$2/24" dev link0 && ip -n "$1" link set link0 up &&
        ip netns exec "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save'
}

# With one segment per packet a lost packet is a packet, not 64 KiB.
shape() {
    local name
    for name in $a $b; do
        case $1 in *loss*) ip -n "$name" link set link0 gso_max_segs 1 || return 1 ;; esac
        # shellcheck disable=SC2086
        tc -n "$name" qdisc replace dev link0 root $1 || return 1
    done
}

# The same by other means: packets lost on arrival (nftables), or a link of our own that takes its time (delay.c).
without_netem() {
    local name
    case $1 in
        *loss*) for name in $a $b; do lose "$name" || return 1; done ;;
        netem*delay*)
            ip -n "$a" link del link0 && delayed && address "$a" 10.0.0.1 && address "$b" 10.0.0.2 &&
                shape "$(shaper 1gbit)" ;;
        *) return 1 ;;
    esac
}

lose() {
    command -v nft >/dev/null || { echo "; nft is missing: install nftables"; return 1; }
    ip -n "$1" link set link0 gso_max_segs 1 &&
        ip netns exec "$1" nft 'add table ip loss; add chain ip loss in { type filter hook prerouting priority -300; };
            add rule ip loss in iif link0 numgen random mod 100 0 drop'
}

# It ends with the namespaces (`down`). Ahead of what is measured, as a line would be.
delayed() {
    local dir process tries=100
    dir=$(mktemp -d) || return 1
    if cc -O2 -o "$dir/delay" "$(dirname "$0")/delay.c" 2>"$dir/said"; then
        nice -n -20 "$dir/delay" "$a" "$b" 500 >/dev/null 2>"$dir/said" &
        process=$!
        while ! ip -n "$b" link show link0 >/dev/null 2>&1; do
            if [ $((tries -= 1)) = 0 ] || ! kill -0 $process 2>/dev/null; then break; fi
            sleep 0.05
        done
    fi
    echo "; $(cat "$dir/said")"
    rm -rf "$dir"
    ip -n "$b" link show link0 >/dev/null 2>&1
}

down() {
    local name pid
    for name in $a $b; do
        if [ -e "/run/netns/$name" ]; then
            for pid in $(ip netns pids "$name"); do kill -KILL "$pid"; done
            ip netns del "$name"
        fi
        rm -rf "/etc/netns/$name"
    done 2>/dev/null
    rmdir /etc/netns 2>/dev/null
    return 0
}

main "$@"
