#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hex package: made by the script that .github/workflows/release.yml calls, with stand-ins for the libraries, it holds what a
# build from source needs and nothing else. A repository on this machine in the place of hex.pm has it: from there it comes into a fresh rebar3
# project and, where Hex is, a fresh mix project (elsewhere unpacked, as a path dependency), two nodes of each of which link up. Hex comes with Debian 13:
# on another machine the package is made in the OTP 27 root. `hex.sh --clean` builds the crates anew, which takes minutes.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/hex.sh"
. "$fixtures/projects.sh"
package=$tmp/package
[ "${1:-}" != --clean ] || export CARGO_TARGET_DIR=$tmp/target

# What stands for the libraries of a release.
libraries() {
    local target
    mkdir "$tmp/artefacts" && cd "$tmp/artefacts" || return 1
    for target in $(sed -n 's/.*{ target: \([^,]*\),.*/\1/p' "$root/.github/workflows/release.yml"); do
        echo "$target" >"merlon_nif-$version-nif-2.16-$target.so" && sha256sum ./*"-$target.so" | sed 's|\./||' >"merlon_nif-$version-nif-2.16-$target.so.sha256"
    done
    [ "$(find . -name '*.so' | wc -l)" = 6 ]
}

# Without a word of warning.
built() {
    copy_tree "$tmp/source" && cd "$tmp/source" && with_hex .github/package.sh "$version" "$tmp/artefacts" >"$tmp/hex.log" 2>&1 || { cat "$tmp/hex.log"; return 1; }
    cat "$tmp/hex.log"
    ! grep -iE 'warning|missing|not found' "$tmp/hex.log"
}

# In another copy, so that what it leaves would be seen: without one library, with a changed one, and of another version.
refused() {
    local status=0
    cp -r "$tmp/artefacts" "$tmp/amiss" && cd "$tmp/amiss" && rm ./*-aarch64-apple-darwin.so.sha256 && no_package "$version" || status=1
    cp "$tmp/artefacts"/*.sha256 . && echo changed >"merlon_nif-$version-nif-2.16-aarch64-apple-darwin.so" && no_package "$version" || status=1
    cp "$tmp/artefacts"/*.so . && no_package 99.0.0 || status=1
    return $status
}
no_package() {
    rm -rf "$tmp/half" && mkdir -p "$tmp/half/native" && cp -r "$root/.github" "$tmp/half/" && cd "$tmp/half" &&
        ! with_hex .github/package.sh "$1" "$tmp/amiss" && [ -z "$(ls native)" ] && [ ! -e "merlon-$1.tar" ]
    local status=$?
    cd "$tmp/amiss" && return $status
}

has_checksums() {
    cmp "$tmp/source/native/checksums.txt" "$package/native/checksums.txt" &&
        grep -v '^#' "$package/native/checksums.txt" >"$tmp/sums" && [ "$(wc -l <"$tmp/sums")" = 6 ] && (cd "$tmp/artefacts" && sha256sum -c "$tmp/sums")
}

unpacked() {
    mkdir "$tmp/tarball" "$package" && tar -xf "$tmp/source/merlon-$version.tar" -C "$tmp/tarball" &&
        tar -xzf "$tmp/tarball/contents.tar.gz" -C "$package" &&
        [ "$(cd "$tmp/tarball" && cat VERSION metadata.config contents.tar.gz | sha256sum | cut -d' ' -f1)" = \
          "$(tr '[:upper:]' '[:lower:]' <"$tmp/tarball/CHECKSUM")" ] || return 1
    age "$package"
}

described() {
    erl -noshell -noinput -boot no_dot_erlang -eval '
        [File, Version] = init:get_plain_arguments(),
        {ok, Terms} = file:consult(File),
        Get = fun(Key) -> {_, Value} = lists:keyfind(Key, 1, Terms), Value end,
        io:format("~p~n", [Terms]),
        {<<"merlon">>, <<"merlon">>, [<<"Apache-2.0">>], []} =
            {Get(<<"name">>), Get(<<"app">>), Get(<<"licenses">>), Get(<<"requirements">>)},
        true = Get(<<"version">>) =:= list_to_binary(Version),
        {<<_:20/binary, _/binary>>, <<"~> 1.14">>} = {Get(<<"description">>), Get(<<"elixir">>)},
        [<<"mix">>, <<"rebar3">>] = lists:sort(Get(<<"build_tools">>)),
        [{_, <<"https://", _/binary>>} | _] = Get(<<"links">>),
        halt().' -extra "$tmp/tarball/metadata.config" "$version"
}

# By rule, from the tree and not from mix.exs. The crates are all that native/ has beside its own workspace native/dev.
expected() {
    cd "$tmp/source" && find . -type f | sed 's|^\./||' | grep -E -e '^(mix\.exs|rebar\.config|Cargo\.(toml|lock))$' \
        -e '^(README\.md|CHANGELOG\.md|LICENSE)$' -e '^bin/merlon$' -e '^(erlang_src|elixir_lib)/' \
        -e '^native/(build\.escript|checksums\.txt)$' -e '^native/[a-z]+/(Cargo\.toml$|src/)' | grep -v '^native/dev/' | sort
}

holds_what_it_should() {
    (cd "$package" && find . -type f | sed 's|^\./||' | sort) >"$tmp/found"
    expected >"$tmp/expected" && [ "$(wc -l <"$tmp/expected")" -gt 200 ] && diff "$tmp/expected" "$tmp/found"
}

# Nothing of a test, a build or a person's machine, whatever the rule above says; and what is there is what is in the tree.
holds_nothing_else() {
    ! grep -E '(^|/)(tests?|benches|docs|examples|dev|fuzz|target|_build|priv)/|_SUITE\.erl|_tests\.erl|_test\.exs|\.(so|beam|pem|key|log|orig|rej)$|/\.' "$tmp/found" || return 1
    local file
    while read -r file; do cmp "$tmp/source/$file" "$package/$file" || return 1; done <"$tmp/found"
    [ -x "$package/bin/merlon" ]
}

# What cargo would need of files that are not there, it says here.
crates_are_complete() { cd "$package" && cargo metadata --locked --no-deps --format-version 1 >/dev/null; }

says_what_to_do() {
    local said
    ! said=$("$package/bin/merlon" --version 2>&1) && echo "$said" && echo "$said" | grep -F 'not built yet: run `mix compile` or `rebar3 compile` in the project'
}

# For that name rebar3 takes the address from HEX_CDN, and the key from its configuration.
rebar3_knows_it() {
    export REBAR_GLOBAL_CONFIG_DIR=$tmp/global HEX_CDN=$url
    mkdir -p "$tmp/global/.config/rebar3" &&
        printf '{hex, [{repos, replace, [#{name => <<"hexpm">>, repo_url => <<"%s">>, repo_public_key => <<"%s">>}]}]}.\n' "$url" "$(cat "$tmp/hexpm/public_key")" \
            >"$tmp/global/.config/rebar3/rebar.config"
}

# The line of docs/guides/deploy.md.
line() { sed -n "s/^    \(.*\)  *[#%] $1\$/\1/p" "$root/docs/guides/deploy.md"; }

from_package() {
    if has_hex; then mix_project hex_mix "$(line mix.exs | sed 's/^{:merlon, \(.*\)}/\1/')" && grep -F '"merlon": {:hex, :merlon, "'"$version"'"' mix.lock
    else mix_project hex_mix "path: \"$package\""; fi
}
rebar3_from_package() {
    cd "$tmp" && rebar3 new lib name=hex_rebar3 && cp "$fixtures/link_check.erl" hex_rebar3/src/ && cd hex_rebar3 &&
        echo "{deps, [$(line rebar.config)]}." >rebar.config && cat rebar.config &&
        rebar3 get-deps && age _build/default/lib/merlon && rebar3 compile && grep -F "{<<\"merlon\">>,{pkg,<<\"merlon\">>,<<\"$version\">>}" rebar.lock
}

# The commands come along: of the package, and beside the library, which goes into releases.
has_commands() {
    local built
    for built in "$tmp/hex_rebar3/_build/default/lib/merlon"/{bin,priv}/merlon "$tmp/hex_mix/_build/dev/lib/merlon/priv/merlon"; do
        [ "$("$built" --version)" = "merlon $version" ] || { echo "$built"; return 1; }
    done
    ! has_hex || [ "$("$tmp/hex_mix/deps/merlon/bin/merlon" --version)" = "merlon $version" ]
}

version=$(sed -n 's/^ *{vsn, "\(.*\)"},$/\1/p' "$root/erlang_src/merlon.app.src")
check 'the tree is built' escript "$root/native/build.escript" || finish
check 'libraries of a release, as stand-ins' libraries || finish
check 'without each library as its checksum says there is no package' refused
check 'mix hex.build makes the package, with nothing to say against it' built || finish
check 'the package is unpacked, and its checksum is right' unpacked || finish
check 'its metadata are complete' described
check 'it holds what a build needs' holds_what_it_should
check 'it holds nothing else, and nothing that is not in the tree' holds_nothing_else
check 'its checksum file names every library' has_checksums
check 'its crates are complete' crates_are_complete
check 'before it is built its commands say what to do' says_what_to_do
check 'a repository on this machine has it' repository "$tmp/source/merlon-$version.tar" && rebar3_knows_it || finish
check "mix: the package compiles$(has_hex || echo ' (unpacked, as there is no Hex)')" from_package &&
    check 'mix: two nodes link' linked hex_mix mix_run
check 'mix: merlon is complete' complete "$tmp/hex_mix/_build/dev/lib/merlon"
check 'rebar3: the package comes from there and compiles' rebar3_from_package &&
    check 'rebar3: two nodes link' linked hex_rebar3 erl_with_pa
check 'rebar3: merlon is complete' complete "$tmp/hex_rebar3/_build/default/lib/merlon"
check 'its commands work' has_commands
finish
