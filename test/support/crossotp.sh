#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node of this machine's OTP and one of OTP 27 (or MERLON_OTP) in its own root (otp.sh), each with a library built there,
# link to each other. Where there can be no such root, MERLON_SKIP_OTP27=1 leaves it out.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/otp27.sh"

# skip WHY
skip() {
    echo "skipped: $1"
    [ "${MERLON_SKIP_OTP27:-}" = 1 ] || failed=1
    finish
}

# Inside that very root there is nothing to cross to; its tests were run from outside.
other=${MERLON_OTP:-27}
if [ "$(otp_release)" = "$other" ]; then
    MERLON_SKIP_OTP27=1 skip "this is OTP $other itself: run it on the other one"
fi
has_otp27 || skip "there is no OTP $other root: test/support/otp.sh prepare makes it"

# One folder only is visible in both roots.
mkdir -p "$cache27"
shared=$(mktemp -d "$cache27/run.XXXXXX") || exit 1
also_remove=("$shared")

build_here() {
    mkdir -p "$shared/merlon" "$shared/ebin" &&
        cp -rL "$root"/_build/default/lib/merlon/{ebin,priv} "$shared/merlon/" &&
        erlc -W -o "$shared/ebin" "$fixtures"/merlon_{crossotp,steps}.erl "$root"/test/erlang/merlon_{peers,log_sink}.erl
}

check "the library for OTP $(otp_release)" build_here && check "the library for OTP $other, in its root" library27 "$shared/merlon27" &&
    driven -pa "$shared/ebin" "$shared/merlon/ebin" -eval "merlon_crossotp:main(\"$shared\", \"$otp27\")."
finish
