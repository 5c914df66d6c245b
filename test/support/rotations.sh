#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Five machines (network namespaces) with one keyring, which is rotated every 10 seconds while all send to all and the
# network is cut in two again and again: no node is lost but by the cuts, every link is proved anew by each entry, and who
# was cut off comes back by an old one. SECONDS_LONG: for how long (60). RATE: messages a second from each to each.
. "$(dirname "$0")/../fixtures/netns.sh"
own_network "$0" "$@"
. "$(dirname "$0")/../fixtures/lib.sh"
unset ERL_EPMD_PORT ERL_EPMD_ADDRESS
export PATH=$root/bin:$PATH
ebin=$root/_build/default/lib/merlon/ebin

modules() { erlc -W -o "$tmp" "$fixtures"/merlon_{steps,netns,load,rotations}.erl "$root"/test/erlang/merlon_{peers,log_sink}.erl; }

machines() {
    local number
    for number in 1 2 3 4 5; do boot_machine "$number" || return 1; done
}

# The only setting: how often. And every line of the log, as they are counted.
scheduled() {
    local number
    for number in 1 2 3 4 5; do
        echo '{rotate_secret, {every, {10, seconds}, {grace, {20, seconds}}}}. {log_interval, 0}.' >>"$tmp/$number/merlon.config" || return 1
    done
}

check 'the tree is built' test -s "$ebin/merlon.app" || finish
check 'the driver compiles' modules || finish
check 'five machines' machines || finish
keyring=new check 'merlon init on the first, merlon join on the others, with the keyring' form_cluster shop 5 || finish
check 'all rotate by schedule' scheduled || finish
driven -pa "$tmp" "$ebin" -eval "merlon_rotations:main(\"$tmp\", $(machine_list), ${SECONDS_LONG:-60}, ${RATE:-200})."
finish
