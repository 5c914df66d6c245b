#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Rust core for other machines than this one, as far as `cargo check` goes: Linux on aarch64 and with musl, macOS; and
# Windows, where it must not compile and has to say why. A target's standard library must be there (rustup target add TARGET),
# or rustc's own sources, of which it is made (rustup component add rust-src); without either that target is `left`.
#
#   targets.sh              a few, of each kind one (a minute)
#   targets.sh --all        every one (four minutes)
#   targets.sh TARGET...
#   targets.sh --list       those of --all
few="aarch64-unknown-linux-musl aarch64-apple-darwin x86_64-pc-windows-gnu"
targets="aarch64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl x86_64-apple-darwin aarch64-apple-darwin
         x86_64-pc-windows-gnu x86_64-pc-windows-msvc"
# shellcheck disable=SC2086
[ "${1:-}" != --list ] || { printf '%s\n' $targets; exit; }
. "$(dirname "$0")/../fixtures/lib.sh"
cd "$root" || exit 1
sources=$(rustc --print sysroot)/lib/rustlib/src/rust/library
refusal='error: merlon does not run on Windows: '

# std TARGET: the arguments that get cargo its standard library.
std() {
    if [ -d "$(rustc --print target-libdir --target "$1")" ]; then :
    elif [[ $1 = *-windows-gnu ]] && ! command -v "${1%%-*}-w64-mingw32-dlltool" >/dev/null; then return 1
    elif [ -e "$sources/Cargo.lock" ]; then echo -Zbuild-std
    else return 1
    fi
}

# Nothing is linked: in the place of a C compiler and an archiver for the target stands one that makes empty files.
stand_in() {
    cat >"$tmp/cc" <<'SH'
#!/bin/sh
# cc ... -o FILE ..., or ar FLAGS FILE ...
for each; do
    case $last/$each in -o/*) : >"$each" ;; */*.a) : >"$each" ;; esac
    last=$each
done
SH
    chmod +x "$tmp/cc"
}

# checked TARGET CARGO_ARGUMENT...: RUSTC_BOOTSTRAP lets a stable cargo build std.
checked() {
    local name=${1//-/_}
    [[ " $* " != *' -Zbuild-std '* ]] || export RUSTC_BOOTSTRAP=1
    env "CC_$name=$tmp/cc" "AR_$name=$tmp/cc" cargo check --locked --quiet --target "$1" "${@:2}"
}

# It is the first error that counts: whoever builds reads no further.
refused() {
    local said
    if said=$("$@" 2>&1); then echo 'it compiles'; return 1; fi
    echo "$said"
    echo "$said" | grep -m1 '^error' | grep -F "$refusal"
}

# On this machine, told that it is Windows: to be seen without that target.
told() { cargo rustc --locked --quiet -p merlon_sock -- --cfg windows -A explicit_builtin_cfgs_in_flags; }

stand_in
check 'told that this is Windows, it says that merlon does not run there' refused told
# shellcheck disable=SC2086
case ${1:-} in
    '') set -- $few ;;
    --all) set -- $targets ;;
esac
for target; do
    if ! arguments=$(std "$target"); then
        echo "left    $target: its standard library is not installed"
        continue
    fi
    case $target in
        # shellcheck disable=SC2086
        *-windows-*) check "$target: does not compile, and says why" refused checked "$target" -p merlon_sock $arguments ;;
        # shellcheck disable=SC2086
        *) check "$target: compiles" checked "$target" --workspace $arguments ;;
    esac
done
finish
