#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fresh mix and rebar3 projects with merlon as a dependency: they compile, and two nodes of each link up.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/projects.sh"

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

rebar3_checkout() { rebar3_project rebar3_checkout "$tmp/source" "$root"; }

rebar3_git() { rebar3_project rebar3_git "$tmp/source"; }

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
