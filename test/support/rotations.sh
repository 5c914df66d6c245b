#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Five machines (network namespaces) with one keyring, which is rotated every 10 seconds while all send to all and the
# network is cut in two again and again: no node is lost but by the cuts, every link is proved anew by each entry, and who
# was cut off comes back by an old one. SECONDS_LONG: for how long (60). RATE: messages a second from each to each.
. "$(dirname "$0")/../fixtures/netns.sh"
own_network "$0" "$@"

# The only setting: how often. And every line of the log, as they are counted.
scheduled() {
    local number
    for number in 1 2 3 4 5; do
        echo '{rotate_secret, {every, {10, seconds}, {grace, {20, seconds}}}}. {log_interval, 0}.' >>"$tmp/$number/merlon.config" || return 1
    done
}

check 'five machines' boot_machines 5 || finish
keyring=new check 'merlon init on the first, merlon join on the others, with the keyring' form_cluster shop 5 || finish
check 'all rotate by schedule' scheduled || finish
drive merlon_rotations "${SECONDS_LONG:-60}, ${RATE:-200}"
