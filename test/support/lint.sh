#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that is checked without running it. The type table of OTP is kept in MERLON_CACHE.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root" || exit 1
export PATH=$PATH:$HOME/.cargo/bin
failed=0

check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        echo "$said" | tail -n 60 | sed 's/^/    /'
        failed=$((failed + 1))
    fi
}

types() {
    local cache=${MERLON_CACHE:-$HOME/.cache/merlon}/plt table
    mkdir -p "$cache"
    table=$cache/$(erl -noshell -eval 'io:put_chars([erlang:system_info(otp_release), "-", erlang:system_info(version)]), halt().').plt
    (
        # Two runs at once must not both write it.
        flock 9
        if ! dialyzer --check_plt --plt "$table" >/dev/null 2>&1; then
            rm -f "$table"
            dialyzer --build_plt --output_plt "$table" --apps erts kernel stdlib >/dev/null
        fi
    ) 9>"$table.lock"
    dialyzer --plt "$table" -Wunmatched_returns -Werror_handling _build/lint/lib/merlon/ebin/*.beam
}

check 'erlang compiles without warnings' rebar3 as lint compile
check 'xref' rebar3 as lint xref
check 'dialyzer' types
check 'mix compile without warnings' mix compile --force --warnings-as-errors
check 'mix format' mix format --check-formatted
check 'cargo fmt' cargo fmt --all --check
check 'clippy' cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
# A workspace of its own, which nothing above builds.
check 'lock file of native/dev' cargo tree --locked --quiet --depth 0 --manifest-path native/dev/Cargo.toml
check 'rooms' test/support/rooms.sh
# Kept beside the type table. Advisories are left to those who can fetch their database.
cache=${MERLON_CACHE:-$HOME/.cache/merlon}
export PATH=$PATH:$cache/bin
if [ "${CI:-}" = true ] && ! cargo deny --version >/dev/null 2>&1; then
    cargo install --quiet --locked --root "$cache" cargo-deny
fi
if cargo deny --version >/dev/null 2>&1; then
    # It looks at the crates of every target; a build has fetched those of this one only.
    cargo fetch --locked --quiet
    check 'cargo deny' cargo deny --offline --log-level error --config native/deny.toml check bans licenses sources
else
    echo 'left    cargo deny (not installed: cargo install --locked cargo-deny)'
fi
[ $failed = 0 ]
