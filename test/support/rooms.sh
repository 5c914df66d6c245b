#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules between the rooms of this tree (CONTRIBUTING.md), each one a search. Prints every breach.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
breaches=$(mktemp)
trap 'rm -f "$breaches"' EXIT

# rule WHAT: each line of standard input is a breach.
rule() {
    local found
    found=$(cat)
    [ -z "$found" ] || { echo "breach: $1"; echo "$found" | sed 's/^/    /'; } | tee -a "$breaches"
}

# The shipped Rust sources of the rooms given, code only: no comment lines, nothing after `mod tests`.
code() {
    local file
    find "$@" -name '*.rs' -path '*/src/*' | sort | while read -r file; do
        awk -v file="$file" '/^#\[cfg\(test\)\]/ { exit } !/^ *\/\// { print file ":" FNR ": " $0 }' "$file"
    done
}
rust=$(ls -d native/*/ | grep -v '^native/dev/')

grep -ln '^rustler[ .]' $(ls native/*/Cargo.toml | grep -v '^native/\(nif\|dev\)/') |
    rule 'rustler only in native/nif'
code $(echo "$rust" | grep -v '^native/nif/') | grep -w 'rustler' |
    rule 'rustler only in native/nif'
grep -ln '^rustls[ .]' $(ls native/*/Cargo.toml | grep -v '^native/\(tls\|dev\)/') |
    rule 'rustls only in native/tls'
code $(echo "$rust" | grep -v '^native/tls/') | grep -w 'rustls::' |
    rule 'rustls only in native/tls'
{ grep -ln '^ureq[ .]' $(ls native/*/Cargo.toml | grep -v '^native/\(fetch\|dev\)/')
  code $(echo "$rust" | grep -v '^native/fetch/') | grep -w 'ureq'; } |
    rule 'HTTP only in native/fetch'
code $rust | grep -v '^native/nif/src/select\.rs:\|^native/sock/' | grep -w 'unsafe' |
    rule 'unsafe only in native/nif/src/select.rs and native/sock'
for room in knockout wire record secret pki tls store fetch; do
    grep -q '^#!\[forbid(.*unsafe_code' native/$room/src/lib.rs 2>/dev/null || echo "native/$room/src/lib.rs"
done | rule '#![forbid(unsafe_code)] in every crate but nif and sock'
code native/wire native/record native/secret native/pki native/tls native/store |
    grep -E 'std::(net::(Tcp|Udp)|env|thread|fs|process)|SystemTime::now|Instant::now' |
    rule 'pure crates have no socket, clock, environment, thread or file'

grep -nE "'Elixir\.|\b(Elixir|mix)\." erlang_src/*.erl | grep -v '^[^:]*:[0-9]*: *%' | rule 'Erlang never calls Elixir'
grep -rn ':merlon_nif' elixir_lib | grep -v '^[^:]*:[0-9]*: *#' | rule 'Elixir never calls merlon_nif'
grep -nE '!|\bspawn|\bets:|erlang:(send|system_time|monotonic_time|now|time)|os:(system_time|timestamp)|gen_server:|persistent_term:|\breceive\b' \
    erlang_src/*_core.erl 2>/dev/null | grep -v '^[^:]*:[0-9]*: *%' | rule '*_core.erl never sends, spawns, reads a clock or a table'
# gen_server's calls and casts, and plain sends, dial a node that is not linked any more.
{ grep -nE 'gen_server:((call|cast|abcast|send_request)\(\{|multi_call|abcast)|, *(Node|Peer|To)\} *! ' erlang_src/*.erl
  grep -nE 'erlang:send\(' erlang_src/*.erl | grep -v noconnect; } | grep -v '^[^:]*:[0-9]*: *%' |
    rule 'what goes to another node goes by merlon_ask, or with noconnect'
# So do gen_server's answers: to whatever node a question names.
grep -nE '\{reply,|\bgen(_server)?:reply\(' $(grep -lF '{local,' erlang_src/*.erl) | grep -v '^[^:]*:[0-9]*: *%' |
    rule 'who has a name answers by merlon_ask'
# What runs while the node boots: no file server, no io, no application started.
grep -nE '\b(file:(read|write|open|list|make|del|rename|consult|get_cwd)|filelib:|io:(format|put|get|fwrite)|application:(ensure|start))' \
    erlang_src/merlon_{nif,dist,node,hs,handshake,acceptor,link_out,link_in,link_ahead,registry,event,event_text,config,config_env,identity,identity_secret,dump,keyring,keyring_core,dir,text,pki_text}.erl \
    erlang_src/merlon_{secrets,secrets_core,secrets_watch,secrets_text,secrets_env,secrets_file,secrets_exec,secrets_store}.erl \
    erlang_src/merlon_{interop,linked,beside,enroll,join_server,join_wire,join_core,join_rate_core,token,token_core,sign}.erl \
    erlang_src/merlon6_dist.erl 2>/dev/null | grep -v '^[^:]*:[0-9]*:\( *%\|-spec\|-type\)' |
    rule 'nothing reachable from listen/2 uses the file server, io, or starts an application'

# sizes LIMIT FILE...
sizes() { wc -l "${@:2}" 2>/dev/null | awk -v max="$1" '$2 != "total" && $1 > max { print $2 ": " $1 " lines, more than " max }'; }
sizes 500 $(find $rust -name '*.rs') | rule 'Rust files are short'
sizes 400 erlang_src/*.erl test/{erlang,attack}/*.erl bench/*.erl | rule 'Erlang files are short'
sizes 300 $(find elixir_lib test/elixir -name '*.ex' -o -name '*.exs') | rule 'Elixir files are short'

[ -s "$breaches" ] && exit 1
echo 'rooms: all rules hold'
