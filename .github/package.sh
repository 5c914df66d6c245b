#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The hex package of a release, as .github/workflows/release.yml makes it and test/support/hex.sh tries it: with the
# checksums of the libraries in FOLDER, which must be those of every target and what their checksums say.
#
#   .github/package.sh VERSION FOLDER
#
# Of what the machine lacks, it installs Elixir and Hex (Debian).
set -eu
# A bare image has no locale, and Elixir then warns.
export LC_ALL=C.UTF-8
version=$1
folder=$2
targets="x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl
         x86_64-apple-darwin aarch64-apple-darwin"

fail() { echo "package.sh: $1" >&2; exit 1; }

checksums() {
    echo '# SHA-256 and name of each prebuilt library of this version; native/build.escript takes nothing else.'
    for target in $targets; do
        set -- "$folder"/merlon_nif-"$version"-nif-*-"$target".so.sha256
        [ $# = 1 ] && [ -f "$1" ] || fail "not one library of version $version for $target in $folder"
        cat "$1"
    done
}

command -v mix >/dev/null || { apt-get update && apt-get install -y --no-install-recommends erlang-nox erlang-dev elixir erlang-hex; } >&2
sums=$(mktemp)
trap 'rm -f "$sums"' EXIT
checksums >"$sums"
(cd "$folder" && grep -v '^#' | sha256sum -c -) <"$sums" || fail "a library in $folder is not what its checksum says"
cat "$sums" >native/checksums.txt
mix hex.build
