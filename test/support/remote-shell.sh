#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a person types into: `merlon shell NODE`, and iex with a mix project over merlon.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/projects.sh"
. "$fixtures/terminal.sh"
dir=$tmp/merlon
node=plain@127.0.0.1
user=$(id -un)
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} USER=$user HOME=$tmp/home
mkdir -p "$HOME" && (umask 077 && echo -n $cookie >"$HOME/.erlang.cookie") && chmod 400 "$HOME/.erlang.cookie"

server() {
    erl -noshell -noinput -pa "$root/_build/default/lib/merlon/ebin" -name $node -proto_dist merlon -merlon_dir "$dir" >"$tmp/server.log" 2>&1 &
    server=$!
    started+=("$server")
    within 10 eval 'epmd -names | grep -q "^name plain "'
}

merlon_shell() { "$root/bin/merlon" shell "$@"; }

# It is hidden, has its name from the node, and is known there as a tool.
opens() {
    terminal "$root/bin/merlon" shell $node --dir "$dir"
    shows "($node)1>" 15 || { ended; return 1; }
    types 'io:format("~0p~n", [{me, os:getpid(), nodes(), length(nodes(hidden)), maps:get(identity, hd(merlon:connections()))}]).'
    shows "{me,\"$server\",[],1,{cli,<<\"test\">>,<<\"$user\">>,<<\"127.0.0.1\">>}}" 10 || { ended; return 1; }
    leaves_shell
    ended && ! gone "$server"
}

# A node that no epmd knows, with a name service: its port is found by the merlon.config that the two have.
without_epmd() {
    local other=nowhere@127.0.0.1 pid
    new_dir "$tmp/names" test $other && "$root/bin/merlon" cert --cli "$user" 127.0.0.1 --dir "$tmp/names" >/dev/null &&
        echo "{epmd, {names, [{port, $(free_port)}]}}." >>"$tmp/names/merlon.config" || return 1
    erl -noshell -noinput -pa "$root/_build/default/lib/merlon/ebin" -name $other -proto_dist merlon -merlon_dir "$tmp/names" \
        -epmd_module merlon_epmd -start_epmd false -eval 'io:put_chars("ready\n").' >"$tmp/names.log" 2>&1 &
    pid=$!
    started+=("$pid")
    within 10 grep -q ready "$tmp/names.log" && ! epmd -names | grep nowhere || return 1
    terminal "$root/bin/merlon" shell $other --dir "$tmp/names"
    shows "($other)1>" 15 || { ended; return 1; }
    types 'io:format("~0p~n", [{me, os:getpid()}]).'
    shows "{me,\"$pid\"}" 10
    local status=$?
    leaves_shell
    ended && return $status
}

# refused CODE WORDS ARGUMENT...
refused() {
    local code=$1 words=$2 status=0 said
    shift 2
    said=$(merlon_shell "$@" 2>&1) || status=$?
    echo "$status: $said"
    [ $status = "$code" ] && echo "$said" | grep -qF -- "$words"
}

without_certificate() {
    mv "$dir/cli" "$dir/cli.away"
    refused 1 'merlon cert --cli USER HOST' $node --dir "$dir"
    local status=$?
    mv "$dir/cli.away" "$dir/cli"
    return $status
}

# One that anybody may read is said before a shell opens.
unsafe_key() {
    chmod 644 "$dir/cli/$user@127.0.0.1/key.pem"
    refused 1 'chmod 600' $node --dir "$dir"
    local status=$?
    chmod 600 "$dir/cli/$user@127.0.0.1/key.pem"
    return $status
}

wrong_usage() { refused 2 'NODE is NAME@HOST' plain --dir "$dir" && refused 2 'NODE is missing' --dir "$dir"; }
has_help() { merlon_shell --help | grep -F 'Usage: merlon shell NODE' && "$root/bin/merlon" --help | grep -E '^  shell '; }

# One that trusts this cluster, but has its certificate from another CA.
stranger() {
    new_dir "$tmp/other" test && "$root/bin/merlon" cert --cli "$user" 127.0.0.1 --dir "$tmp/other" >/dev/null &&
        cp "$dir/trust/ca.pem" "$tmp/other/trust/ours.pem" || return 1
    terminal "$root/bin/merlon" shell $node --dir "$tmp/other"
    shows 'Could not connect' 20
    leaves_shell
    ended
    ! grep -qF "($node)" "$tmp/screen" && grep -E 'side=accept .*reason=unknown_issuer' "$tmp/server.log"
}

# In a project the task prints what to type.
as_task() {
    local line
    line=$(cd "$tmp/typed" && mix merlon.shell $node --dir "$dir") || return 1
    echo "$line"
    terminal sh -c "$line"
    shows "($node)1>" 15
    local status=$?
    leaves_shell
    ended && return $status
}

iex_links() {
    cd "$tmp/typed" && "$root/bin/merlon" cert a@127.0.0.1 --dir "$dir" >/dev/null &&
        terminal env MERLON_DIR="$dir" ERL_LIBS="$PWD/_build/dev/lib" iex --name a@127.0.0.1 --erl '-proto_dist merlon' -S mix
    shows 'iex(a@127.0.0.1)1>' 20 || { ended; return 1; }
    types ":link_check.connect(:\"$node\") |> then(&IO.inspect({:linked, &1, Merlon.encrypted?(:\"$node\")}))"
    # The node has no link_check: that the link is merlon's is asked of this end.
    shows '{:linked, ' 15
    types "IO.inspect({:link, Node.list(), hd(Merlon.connections()).identity})"
    shows "{:link, [:\"$node\"], {:node, \"test\", \"plain\", \"127.0.0.1\"}}" 10
    local status=$?
    types 'System.halt()'
    ended && return $status
}

new_dir "$dir" test $node && "$root/bin/merlon" cert --cli "$user" 127.0.0.1 --dir "$dir" >/dev/null
check 'a node' server || finish
check 'merlon shell: opens, hidden, as a tool' opens
check 'merlon shell: finds a node that no epmd knows' without_epmd
check 'merlon shell: without a certificate it says what to do' without_certificate
check 'merlon shell: a key that others can read is refused' unsafe_key
check 'merlon shell: wrong usage' wrong_usage
check 'merlon shell: help' has_help
check 'merlon shell: a tool of another cluster gets none' stranger
check 'a mix project' mix_project typed "path: \"$root\"" && {
    check 'mix merlon.shell: prints what opens one' as_task
    check 'iex --erl "-proto_dist merlon" -S mix: links' iex_links
}
finish
