#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One library of a release, as .github/workflows/release.yml makes it and test/support/prebuilt.sh tries it: built,
# called what native/build.escript will ask for, and loaded by an Erlang.
#
#   .github/library.sh VERSION TARGET FOLDER
#
# Of what the machine lacks, it installs Erlang.
set -eu
version=$1
target=$2
folder=$3

erlang() {
    if command -v apt-get; then apt-get update && apt-get install -y --no-install-recommends erlang-nox
    elif command -v apk; then apk add --no-cache erlang gcc musl-dev
    else brew install erlang
    fi
}

loads() {
    app=$(mktemp -d)
    mkdir "$app/ebin" "$app/priv"
    cp "$1" "$app/priv/merlon_nif.so"
    erlc -o "$app/ebin" erlang_src/merlon_nif.erl
    erl -noshell -noinput -boot no_dot_erlang -pa "$app/ebin" \
        -eval 'ok = merlon_nif:load(), _ = merlon_nif:keyring_new(), halt().'
    rm -r "$app"
}

command -v escript >/dev/null || erlang >&2
escript native/build.escript artefact "$folder"
for library in "$folder"/merlon_nif-"$version"-nif-*-"$target".so; do
    [ -f "$library" ] || { echo "library.sh: what was built is not version $version for $target:" "$folder"/* >&2; exit 1; }
    loads "$library"
done
