#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The library for this machine as a release has it, made by the script that .github/workflows/release.yml calls, and the form
# of that workflow; and a tree that takes the library in place of building: from a folder and over HTTP, and only if it is
# what the checksum file says.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/http.sh"
. "$fixtures/auditors.sh"
workflow=$root/.github/workflows/release.yml
version=$(sed -n 's/^ *{vsn, "\(.*\)"},$/\1/p' "$root/erlang_src/merlon.app.src")
artefacts=$tmp/artefacts
tree=$tmp/tree
installed=$tree/priv/merlon_nif.so

produced() {
    name=$(escript "$root/native/build.escript" name) && library=$artefacts/$name || return 1
    target=$(echo "$name" | sed 's/.*-nif-[0-9.]*-\(.*\)\.so/\1/')
    cd "$root" && .github/library.sh "$version" "$target" "$artefacts" && (cd "$artefacts" && sha256sum -c "$name.sha256")
}

named() { echo "$name" | grep -xE 'merlon_nif-[0-9]+\.[0-9]+\.[0-9]+-nif-2\.16-(x86_64|aarch64)-(unknown-linux-(gnu|musl)|apple-darwin)\.so'; }

# A tag that is not the version, a machine that is not the target, a library that is none.
released_as_it_is() {
    cd "$root" && ! .github/library.sh 99.0.0 "$target" "$tmp/wrong" && ! .github/library.sh "$version" riscv64-unknown-linux-gnu "$tmp/wrong" || return 1
    mkdir "$tmp/none" && cp -r "$root"/{.github,erlang_src} "$tmp/none/" && mkdir "$tmp/none/native" &&
        printf '%s\n' '#!/usr/bin/env escript' "main([\"artefact\", Folder]) -> ok = filelib:ensure_path(Folder), ok = file:write_file(Folder ++ \"/$name\", <<>>)." >"$tmp/none/native/build.escript" &&
        cd "$tmp/none" && ! .github/library.sh "$version" "$target" artefacts
}

# Beside the C library nothing has to be there.
needs_little() {
    command -v readelf >/dev/null || { echo 'no readelf'; return 0; }
    ! readelf -d "$library" | grep NEEDED | grep -vE 'lib(c|m|gcc_s|pthread|dl|rt)\.(so|musl)|ld-linux|ld-musl'
}

# ---- the workflow, which nobody runs here ----

# By GitHub's own schema, which the first has with it, and by the rules of the others, without asking anybody.
audited() {
    "$auditors/bin/check-jsonschema" --builtin-schema vendor.github-workflows "$1" &&
        "$auditors/bin/zizmor" --offline --no-progress --persona=auditor "$1" && { ! linter_can_be || linted "$1"; }
}

audit_sees() {
    spoiled "$workflow" 's/@[0-9a-f]\{40\}/@v7/' unpinned-uses && spoiled "$workflow" 's/^permissions: {}/permissions: write-all/' excessive-permissions &&
        spoiled "$workflow" 's/persist-credentials: false/fetch-depth: 1/' artipacked && spoiled "$workflow" 's/"\$TARGET"/${{ matrix.target }}/' template-injection &&
        spoiled "$workflow" 's/runs-on:/run-on:/' 'Schema validation errors' && { ! linter_can_be || linter_sees; }
}

linter_sees() {
    spoiled "$workflow" 's/needs: library/needs: libraries/' 'job "libraries" which does not exist' && spoiled "$workflow" 's/matrix.image }}/matrix.picture }}/' '"picture" is not defined' &&
        spoiled "$workflow" 's/{ target: \([^,]*\), runner/{ targets: \1, runner/' '"target" is not defined'
}

# What package.sh insists on is what the workflow builds.
targets_agree() {
    sed -n 's/.*{ target: \([^,]*\),.*/\1/p' "$workflow" | sort >"$tmp/built"
    sed -n '/^targets="/,/"$/p' "$root/.github/package.sh" | grep -oE '(x86_64|aarch64)-[a-z-]+' | sort >"$tmp/wanted"
    [ "$(wc -l <"$tmp/built")" = 6 ] && diff "$tmp/built" "$tmp/wanted"
}

# Each library and the package are signed for, by jobs that cannot write to the repository.
attested() {
    awk '/^  [a-z]+:$/ { job = $1 } /uses: actions\/attest@/ { attests[job] = 1 } /contents: write/ { writes[job] = 1 }
         /uses:/ { subjects = 0 } /subject-path:/ { subjects = 1 } subjects && /native\/checksums.txt/ { sums = 1 }
         END { exit !(sums && attests["library:"] && attests["package:"] && writes["draft:"] && !writes["library:"] && !writes["package:"]) }' "$workflow"
}

# ---- a tree that takes it ----

# fresh [CHECKSUM_LINE]: a tree with nothing in priv/, and with that checksum.
fresh() {
    rm -rf "$tree/priv"
    mkdir -p "$tree" && cp -r "$root"/{Cargo.toml,native,erlang_src} "$tree/" 2>/dev/null
    printf '# comment\n%s\n' "${1:-}" >"$tree/native/checksums.txt"
}

# Where there is no cargo: what works here has built nothing.
mkdir -p "$tmp/bin" "$tmp/home" && ln -s "$(command -v erl)" "$(command -v escript)" "$tmp/bin/"
take() { env HOME="$tmp/home" PATH="$tmp/bin:/usr/bin:/bin" "$@" escript "$tree/native/build.escript"; }
no_cargo() { ! env HOME="$tmp/home" PATH="$tmp/bin:/usr/bin:/bin" sh -c 'command -v cargo'; }

sum() { cat "$artefacts/$name.sha256"; }
taken() { cmp "$library" "$installed" && [ "$(stat -c %a "$installed")" = 755 ]; }

from_folder() { fresh "$(sum)" && take MERLON_PREBUILT="$artefacts" "$@" && taken; }

# Once it is there, the place is not asked again.
without_place() { take MERLON_BUILD=prebuilt && taken; }

over_http() { fresh "$(sum)" && take MERLON_PREBUILT="$url" MERLON_BUILD=prebuilt && taken; }

# refused WORDS VARIABLE=VALUE...: it fails, says WORDS and installs nothing.
refused() {
    local words=$1 said
    shift
    if said=$(take "$@" 2>&1); then echo "not refused: $said"; return 1; fi
    echo "$said"
    echo "$said" | grep -qE "$words" && [ ! -e "$installed" ]
}

# One bit of it is another; said in every mode in which it would be taken.
tampered() {
    mkdir -p "$tmp/tampered" && cp "$library" "$tmp/tampered/$name" || return 1
    printf '\001' | dd of="$tmp/tampered/$name" bs=1 seek=4096 conv=notrunc status=none
    cmp -s "$library" "$tmp/tampered/$name" && return 1
    fresh "$(sum)" && refused "IS NOT WHAT WAS RELEASED.*SHA-256" MERLON_PREBUILT="$tmp/tampered" &&
        refused "IS NOT WHAT WAS RELEASED.*SHA-256" MERLON_PREBUILT="$tmp/tampered" MERLON_BUILD=prebuilt
}

# What stands in priv/ is not trusted either.
replaced_in_priv() {
    fresh "$(sum)" && mkdir -p "$tree/priv" && cp "$tmp/tampered/$name" "$installed" &&
        take MERLON_PREBUILT="$artefacts" && taken
}

not_listed() {
    fresh "$(printf '%064d' 0)  other.so" &&
        refused "checksums.txt does not list $name.*prebuilt forbids" MERLON_PREBUILT="$artefacts" MERLON_BUILD=prebuilt &&
        fresh "$(sum)x" && refused 'does not list' MERLON_PREBUILT="$artefacts" MERLON_BUILD=prebuilt
}

absent() {
    fresh "$(sum)" && refused "can't be had .*404" MERLON_PREBUILT="$url/nothing" MERLON_BUILD=prebuilt &&
        refused "can't be had .*enoent" MERLON_PREBUILT="$tmp/nowhere" MERLON_BUILD=prebuilt &&
        refused 'MERLON_PREBUILT does not say where' MERLON_BUILD=prebuilt
}

# Without cargo the attempt to build is what shows.
builds_instead() {
    fresh && refused 'does not list .*: building from source' MERLON_PREBUILT="$artefacts" &&
        refused 'cargo, the Rust builder, is missing.*MERLON_PREBUILT' MERLON_PREBUILT="$artefacts" &&
        fresh "$(sum)" && refused 'cargo, the Rust builder, is missing' MERLON_PREBUILT="$artefacts" MERLON_BUILD=source &&
        refused 'cargo, the Rust builder, is missing' MERLON_BUILD=
}

no_such_mode() { fresh "$(sum)" && refused 'must be source or prebuilt, not binary' MERLON_PREBUILT="$artefacts" MERLON_BUILD=binary; }

check 'the library of this machine is made and loads, with its checksum' produced || finish
check 'its name says version, NIF version and target' named
check 'of another version, for another target or not to be loaded it is not released' released_as_it_is
check 'it needs the C library and nothing else' needs_little
check 'the workflow builds what the package insists on' targets_agree
check 'the workflow attests libraries and package without the right to write' attested
if auditors_can_be; then
    check 'auditors of workflows, from the cache or PyPI' auditors_installed && check 'the workflow is one, and found good' audited "$workflow" &&
        check 'the auditors see what is amiss' audit_sees
else
    echo 'left    the audit of the workflow: needs Python with venv'
fi
check 'there is no cargo for the tree that takes it' no_cargo || finish
check 'taken from a folder' from_folder
check 'taken from a folder and nowhere else' from_folder MERLON_BUILD=prebuilt
check 'once it is there it is not fetched again' without_place
check 'an HTTP server with it' serve "$artefacts" && check 'taken over HTTP' over_http
check 'one that was changed is refused loudly' tampered
check 'a changed one in priv/ is replaced' replaced_in_priv
check 'one that is not in the checksum file is not taken' not_listed
check 'one that is not there is not had' absent
check 'otherwise it is built from source' builds_instead
check 'a mode that is none stops' no_such_mode
finish
