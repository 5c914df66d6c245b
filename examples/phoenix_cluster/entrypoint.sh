#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bin/shop as a container has it: a node shop@ADDRESS on one port that all nodes have, without epmd. `rpc`, `remote`, `pid` and
# `stop` listen to nobody.
set -eu
address=${POD_IP:-$(hostname -i | cut -d' ' -f1)}
port=${DIST_PORT:-4370}
export RELEASE_NODE="shop@$address" RELEASE_TMP="${RELEASE_TMP:-/tmp/shop}"
case ${1:-} in
    start | start_iex)
        listen="-kernel inet_dist_listen_min $port inet_dist_listen_max $port"
        listen="$listen inet_dist_use_interface {$(echo "$address" | tr . ,)}" ;;
    *) listen='-dist_listen false' ;;
esac
export ELIXIR_ERL_OPTIONS="-start_epmd false -erl_epmd_port $port $listen"
exec "$(dirname "$0")/bin/shop" "$@"
