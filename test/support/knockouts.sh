#!/usr/bin/env bash
# Does every security check have a test that misses it? Builds the crates with one check after the other taken out
# (`--cfg knockout="NAME"`) and asserts that exactly the tests named here turn red, no fewer and no more.
#
#   knockouts.sh [NAME...]    all, or those named
#
# Only the workspace's own crates are built anew for each: a wrapper around rustc adds the cfg, and cargo keeps what it
# builds apart by the wrapper's path. CARGO_TARGET_DIR says where (default: target/knockouts of this checkout).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/knockouts}
export PATH=$PATH:$HOME/.cargo/bin
passed=0
failed=0

# NAME, crate, and the tests that must turn red (of all the crate's tests).
knockouts() {
    cat <<'TABLE'
TABLE
}
