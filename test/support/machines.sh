#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three machines (network namespaces) become a cluster by `merlon init`, tokens and two `merlon join`, with no file edited.
# Then, while all send to all, every certificate is renewed, the root is rotated and one node is revoked: nobody but
# that one is lost, and no message between the others. RATE: messages a second from each to each.
. "$(dirname "$0")/../fixtures/netns.sh"
own_network "$0" "$@"

check 'three machines' boot_machines 3 || finish
check 'merlon init on the first, merlon join on the others' form_cluster shop 3 || finish
drive merlon_machines "\"$root/bin/merlon\", ${RATE:-1000}"
