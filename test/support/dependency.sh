#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fresh mix and rebar3 projects with merlon as a dependency: they compile, and two nodes of each link up.
. "$(dirname "$0")/../fixtures/lib.sh"
export MIX_HOME=$tmp/mix REBAR_CACHE_DIR=$tmp/rebar3
cookie=dependency

# The tree as a git repository, whether it is one here or not and with what is not committed yet.
repository() {
    copy_tree "$tmp/source" &&
        git -C "$tmp/source" init -q -b main &&
        git -C "$tmp/source" add -A &&
        git -C "$tmp/source" -c user.name=test -c user.email=test@localhost commit -q -m 'The tree as it is'
}

# Files of a fresh clone look new, and cargo goes by their times: aged, its sources are those built before.
age_clones() {
    mkdir "$tmp/hooks"
    printf '#!/bin/sh\ngit ls-files -z | xargs -0 touch -c -d 2000-01-01\n' >"$tmp/hooks/post-checkout"
    chmod +x "$tmp/hooks/post-checkout"
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=$tmp/hooks
}

# mix_project NAME DEP_OPTIONS
mix_project() {
    cd "$tmp" && mix new "$1" &&
        sed -i "/defp deps do/{n;s|\[|[{:merlon, $2}|}" "$1/mix.exs" &&
        mkdir "$1/src" && cp "$fixtures/link_check.erl" "$1/src/" &&
        cd "$1" && mix deps.get && mix compile --warnings-as-errors
}

# rebar3_project NAME
rebar3_project() {
    cd "$tmp" && rebar3 new lib name="$1" &&
        printf '{deps, [{merlon, {git, "file://%s", {branch, "main"}}}]}.\n' "$tmp/source" >"$1/rebar.config" &&
        cp "$fixtures/link_check.erl" "$1/src/"
}

rebar3_checkout() {
    rebar3_project rebar3_checkout && cd rebar3_checkout &&
        mkdir _checkouts && ln -s "$root" _checkouts/merlon && rebar3 compile
}

rebar3_git() { rebar3_project rebar3_git && cd rebar3_git && rebar3 compile; }

# complete LIB_DIR: every module, the application's file and the library.
complete() {
    local source
    for source in "$root"/erlang_src/*.erl; do
        [ -s "$1/ebin/$(basename "$source" .erl).beam" ] || { echo "no $source in $1/ebin"; return 1; }
    done
    [ -s "$1/ebin/merlon.app" ] && [ -s "$1/priv/merlon_nif.so" ] || { ls -lR "$1/"; return 1; }
}

# linked PROJECT START [START2]: START NAME OPTIONS becomes a node, START2 NAME OPTIONS PEER one that checks its
# link to PEER; by default both are started the same way.
linked() {
    local project=$1 start=$2 first status=0 dir=$tmp/$1-$2 name=$1_$2
    local a=${name}_a@127.0.0.1 b=${name}_b@127.0.0.1 options="-proto_dist merlon -merlon_dir $tmp/$1-$2"
    new_dir "$dir" test "$a" "$b" && cd "$tmp/$project" || return 1
    "$start" "$a" "$options" >"$dir/log" 2>&1 &
    first=$!
    started+=("$first")
    ("${3:-$start}" "$b" "$options" "$a") || status=1
    stop "$first"
    [ $status = 0 ] || sed 's/^/first node: /' "$dir/log"
    return $status
}

# The distribution starts before mix sets its code path: merlon has to be on Erlang's.
mix_run() {
    exec elixir --name "$1" --cookie $cookie --erl "-pa _build/dev/lib/merlon/ebin $2" \
        -S mix run --no-compile --no-halt ${3:+-e ":link_check.main(:\"$3\")"}
}

erl_with_pa() {
    # shellcheck disable=SC2086
    exec erl -noshell -noinput -pa _build/default/{lib,checkouts}/*/ebin -name "$1" -setcookie $cookie $2 \
        ${3:+-eval "link_check:main('$3')."}
}

# As mix does it for a moment while it starts: off the code path, and in a folder from where a relative one leads nowhere.
off_the_code_path() {
    # shellcheck disable=SC2086
    exec erl -noshell -noinput -pa _build/default/lib/*/ebin -name "$1" -setcookie $cookie $2 -eval '
        [true = code:del_path(P) || P <- code:get_path(), string:find(P, "merlon/ebin") =/= nomatch],
        ok = file:set_cwd("/").'
}

# Here the distribution starts late, in a VM that is up. Its shell has a standard input that says nothing.
rebar3_shell() {
    mkfifo "$tmp/$1.stdin"
    exec env ERL_FLAGS="$2" rebar3 shell --name "$1" --setcookie $cookie <>"$tmp/$1.stdin"
}

check 'the tree is built' escript "$root/native/build.escript"
check 'the tree as a git repository' repository
age_clones

check 'mix: path dependency compiles' mix_project mix_path "path: \"$root\"" &&
    check 'mix: path dependency, two nodes link' linked mix_path mix_run
check 'mix: git dependency compiles' mix_project mix_git "git: \"file://$tmp/source\", branch: \"main\"" &&
    check 'mix: git dependency, two nodes link' linked mix_git mix_run
check 'mix: git dependency is complete' complete "$tmp/mix_git/_build/dev/lib/merlon"

check 'rebar3: checkout compiles' rebar3_checkout &&
    check 'rebar3: checkout, two nodes link' linked rebar3_checkout erl_with_pa
check 'rebar3: checkout is complete' complete "$tmp/rebar3_checkout/_build/default/checkouts/merlon"
check 'rebar3: git dependency compiles' rebar3_git &&
    check 'rebar3: git dependency, two nodes link' linked rebar3_git erl_with_pa
check 'rebar3: git dependency is complete' complete "$tmp/rebar3_git/_build/default/lib/merlon"
check 'rebar3 shell: another node links to it' linked rebar3_git rebar3_shell erl_with_pa
check 'a node whose code path has lost merlon: another one links to it' linked rebar3_git off_the_code_path erl_with_pa
finish
