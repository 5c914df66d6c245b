#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three machines (network namespaces) become a cluster by `merlon init`, tokens and two `merlon join`, with no file edited.
# Then, while all send to all, every certificate is renewed, the root is rotated and one node is revoked: nobody but
# that one is lost, and no message between the others. RATE: messages a second from each to each.
. "$(dirname "$0")/../fixtures/netns.sh"
own_network "$0" "$@"
. "$(dirname "$0")/../fixtures/lib.sh"
unset ERL_EPMD_PORT ERL_EPMD_ADDRESS
export PATH=$root/bin:$PATH
ebin=$root/_build/default/lib/merlon/ebin

modules() { erlc -W -o "$tmp" "$fixtures"/merlon_{steps,netns,load,machines}.erl "$root"/test/erlang/merlon_{peers,log_sink}.erl; }

check 'the tree is built' test -s "$ebin/merlon.app" || finish
check 'the driver compiles' modules || finish
check 'three machines' eval 'boot_machine 1 && boot_machine 2 && boot_machine 3' || finish
check 'merlon init on the first, merlon join on the others' form_cluster shop 3 || finish
driven -pa "$tmp" "$ebin" -eval "merlon_machines:main(\"$tmp\", \"$root/bin/merlon\", $(machine_list), ${RATE:-1000})."
finish
