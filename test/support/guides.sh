#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command in README.md and docs/guides: typed here as it stands there but for names, addresses and folders, or done by
# another script, in which it must be found, or named below with the reason why it can't be run. A command that is none of these fails,
# and so does a line here of which the guides know nothing. What is written as `merlon CMD --option` within a sentence has to be in
# `merlon CMD --help`.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/terminal.sh"
ebin=$root/_build/default/lib/merlon/ebin
mixed=$root/_build/test/lib
user=$(id -un)
# Rust is this user's all the same.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export HOME=$tmp/home USER=$user PATH=$root/bin:$PATH MIX_ENV=test
host=127.0.0.1
dir=$tmp/merlon
cwd=$root
mkdir -p "$HOME" "$tmp/project/lib" "$tmp/project/src"

# GUIDE SCRIPT WORDS: recipes are done by a script that says `guide=.../GUIDE` and `follow NAME`; other commands of GUIDE by one that
# has these words in it.
elsewhere() {
    cat <<'TABLE'
deploy.md | test/support/remote-shell.sh | MERLON_DIR=DIR ERL_LIBS=$PWD/_build/dev/lib iex --name a@host --erl "-proto_dist merlon" -S mix | iex --name a@127.0.0.1 --erl '-proto_dist merlon' -S mix
cookie.md | test/erlang/merlon_cookie_tests.erl | bin/merlon cookie --prove 4711:444d... --state search.state | ["cookie", "--prove", Pair]
rabbitmq.md | test/support/rabbitmq.sh | rabbitmqctl eval 'merlon:connections().' | merlon:connections()
identity.md | test/fixtures/netns.sh | merlon init --cluster shop --node app@10.77.0.1 | merlon init --cluster "$1" --node "app@$(address 1)"
identity.md | test/fixtures/netns.sh | merlon token app@10.77.0.2 --at 10.77.0.1:4379 | merlon token "app@$(address "$number")" --at "$(address 1):4379"
identity.md | test/fixtures/netns.sh | merlon join TOKEN | merlon join "$tmp/token"
identity.md | test/fixtures/merlon_machines.erl | merlon renew app@10.77.0.1 | renew
identity.md | test/fixtures/merlon_machines.erl | merlon rotate ca | rotate ca
identity.md | test/fixtures/merlon_machines.erl | merlon revoke app@10.77.0.3 | revoke
identity.md | test/support/runbook.sh | bin/merlon rotate ca | ca-rotate
upgrade-otp.md | .ci/run | test/support/otp.sh prepare | test/support/otp.sh prepare
upgrade-otp.md | test/support/run.sh | test/support/crossotp.sh | crossotp
secrets.md | test/support/run.sh | SECONDS_LONG=300 test/support/rotations.sh | rotations
TABLE
}

# GUIDE COMMAND WHY: what is not run.
left_out() {
    cat <<'TABLE'
benchmark.md | make bench | measures for half an hour, and would measure the other tests
benchmark.md | make bench QUICK=1 | measures for minutes
benchmark.md | bench/kdf.escript | measures
cookie.md | native/dev/bench/run.sh cookie | measures
terms.md | make && escript bench/term.escript | measures
audit.md | make && escript bench/audit.escript | measures
deploy.md | docker run -v DIR:/etc/merlon:ro -e SECRET_KEY_BASE=... shop | no Docker; deploy.sh does the steps of its image
deploy.md | docker exec CONTAINER /shop/entrypoint.sh remote | the same
deploy.md | kubectl create secret generic merlon --from-file=keyring=DIR/keyring | no Kubernetes; deploy.sh makes its mounts
deploy.md | kubectl apply -f examples/phoenix_cluster/kubernetes.yaml | the same
external-ca.md | step ca certificate NAME@HOST node.crt node.key --san spiffe://shop/node/HOST/NAME | step-ca is not packaged; external-ca.sh lays out its files
operate.md | ssh -L 4371:127.0.0.1:4371 host | no other host
providers.md | vault kv put secret/merlon/prod keyring=@"$dir/keyring" | no Vault; providers.sh runs nodes on the interface of one
TABLE
}

# ---- what is in the guides ----

guides=("$root"/README.md "$root"/docs/guides/*.md)
for guide in "${guides[@]}"; do
    awk -f "$fixtures/commands.awk" "$guide" | sed "s|^|$(basename "$guide") \| |"
done | sort -u >"$tmp/commands"
: >"$tmp/done"

# as GUIDE COMMAND [FROM=TO]...: types it, in the folder $cwd.
as() {
    local line="$1 | $2" command=$2 change
    grep -qxF -- "$line" "$tmp/commands" || { echo "not in the guide: $line"; return 1; }
    echo "$line" >>"$tmp/done"
    for change in "${@:3}"; do
        case $command in *"${change%%=*}"*) ;; *) echo "not in the command: ${change%%=*}"; return 1 ;; esac
        command=${command//"${change%%=*}"/"${change#*=}"}
    done
    command=${command#[0-9]> }
    case $2 in [0-9]*'> '*) echo "$command" ;; *) (cd "$cwd" && exec bash -euc "$command") ;; esac
}

# Standard input for a shell that is to stay up: it ends with this script.
kept_open() { tail -f --pid=$$ /dev/null; }

# said WORDS CMD...: whatever its exit code.
said() { local words=$1; shift; "$@" >"$tmp/said" 2>&1; cat "$tmp/said"; grep -qF -- "$words" "$tmp/said"; }

# ---- README ----

readme_init() {
    as README.md make && as README.md 'bin/merlon init --cluster shop --dir ~/merlon' &&
        as README.md 'bin/merlon cert a@$(hostname -s) --dir ~/merlon' && as README.md 'bin/merlon cert b@$(hostname -s) --dir ~/merlon'
}

readme_links() {
    local erl='erl -pa _build/default/lib/merlon/ebin -sname NAME -proto_dist merlon -merlon_dir ~/merlon'
    kept_open | as README.md "${erl/NAME/a}" >"$tmp/a.log" 2>&1 &
    started+=($!)
    within 15 eval 'epmd -names | grep -q "^name a "' || { cat "$tmp/a.log"; return 1; }
    printf "net_adm:ping('a@%s').\nmerlon:connections().\nhalt().\n" "$(hostname -s)" | as README.md "${erl/NAME/b}" >"$tmp/b.log" 2>&1
    cat "$tmp/b.log"
    grep -q pong "$tmp/b.log" && grep -q 'tls_version => <<"1.3">>' "$tmp/b.log"
}

# ---- running nodes: shop, and b with a shell; c is down ----

# node NAME [ARG...]: with the application.
node() {
    erl -noshell -noinput -boot no_dot_erlang -name "$1@$host" -setcookie guides -pa "$ebin" -proto_dist merlon -merlon_dir "$dir" \
        -kernel logger_level critical "${@:2}" -eval 'ok = application:start(merlon).' >"$tmp/$1.log" 2>&1 </dev/null &
    started+=($!)
}

two_nodes() {
    page=$(free_port)
    new_dir "$dir" shop "shop@$host" "b@$host" "c@$host" "ca@$host" && merlon cert --cli "$user" "$host" --dir "$dir" &&
        merlon keyring --new --dir "$dir" && echo "{status, {\"127.0.0.1\", $page}}." >>"$dir/merlon.config" || return
    node shop -kernel inet_dist_listen_min "$(dist=$(free_port); echo "$dist" | tee "$tmp/dist")"
    within 20 curl -sf "http://127.0.0.1:$page/" || { cat "$tmp/shop.log"; return 1; }
}

operate_shell() {
    {
        echo "net_adm:ping('shop@$host')."
        as operate.md "1> merlon:is_encrypted('b@host')." "b@host=shop@$host"
        as operate.md '2> merlon:connections().'
        as operate.md "3> maps:get(text, merlon:explain('c@host'))." "c@host=c@$host"
        as identity.md '1> merlon:reload().'
        as identity.md '2> merlon:renew().'
        echo 'halt().'
    } | erl -name "b@$host" -pa "$ebin" -proto_dist merlon -merlon_dir "$dir" >"$tmp/b.log" 2>&1
    cat "$tmp/b.log"
    grep -q pong "$tmp/b.log" && grep -q '> true' "$tmp/b.log" && grep -q 'cipher_suite => <<"TLS_' "$tmp/b.log" && grep -qE '\{ok, ?(reloaded|unchanged)' "$tmp/b.log" &&
        ! grep -q 'exception' "$tmp/b.log"
}

operate_explain() {
    local etc=/etc/merlon=$dir
    cwd=$root
    said 'blocked:' as operate.md 'bin/merlon explain c@host --as b@host --dir /etc/merlon' "c@host=c@$host" "b@host=b@$host" "$etc" &&
        said '"node":"shop@127.0.0.1"' as operate.md 'curl -s http://127.0.0.1:4371/status.json' "4371=$page"
}

doctor() {
    local etc="merlon doctor=merlon doctor --dir $dir"
    mkdir -p "$tmp/project/rel" && cwd=$tmp/project
    said 'ok    native' as doctor.md 'bin/merlon doctor' "bin/$etc" && said "shop@$host" as doctor.md 'bin/merlon doctor shop@web2' "bin/$etc" "web2=$host" &&
        echo '-proto_dist merlon' >"$tmp/project/rel/vm.args" &&
        said 'args' as doctor.md 'bin/merlon doctor --args rel/vm.args --release _build/prod/rel/shop --port 9100-9110' "bin/$etc" && grep -q release "$tmp/said" &&
        as doctor.md 'merlon doctor --emit mix >> rel/vm.args.eex' "$etc" && grep -qx -- '-proto_dist merlon' "$tmp/project/rel/vm.args.eex" &&
        said SERVER_ADDITIONAL_ERL_ARGS as doctor.md 'merlon doctor --emit rabbitmq --as rabbit@mq1 --port 25672' "$etc" &&
        said 'ok    carrier' as upgrade-otp.md 'merlon doctor --dir /etc/merlon' "/etc/merlon=$dir" &&
        said open as upgrade-otp.md 'merlon explain shop@web1 --as shop@web2 --dir /etc/merlon' "/etc/merlon=$dir" "shop@web1=shop@$host" "shop@web2=b@$host"
}

# ---- quick start: two machines of one host ----

quick_start() {
    local first=$tmp/first second=$tmp/second port token erl='ERL_LIBS=/usr/local/lib/erlang/lib erl -name app@NODE -proto_dist merlon -merlon_dir DIR' libs
    local web1=web1.example=$host web2="app@web2.example=app2@$host"
    port=$(free_port) libs="/usr/local/lib/erlang/lib=$tmp/usr/lib/erlang/lib"
    # As root is, without the user's Rust; and what could not be installed is not told as if it were.
    mkdir -p "$tmp/sudo" && printf '#!/bin/sh\nexit 1\n' | tee "$tmp/sudo/cargo" >"$tmp/sudo/erl" && chmod +x "$tmp/sudo"/* || return 1
    as quick-start.md 'make && sudo make install' "sudo make=PATH=$tmp/sudo:\$PATH make PREFIX=$tmp/usr" || return 1
    : >"$tmp/file" && ! make -C "$root" PREFIX="$tmp/file" install || return 1
    cwd=$tmp
    as quick-start.md 'merlon init --cluster shop --node app@web1.example --dir DIR' "$web1" "DIR=$first" && as quick-start.md 'merlon keyring --new --dir DIR' "DIR=$first" || return 1
    as quick-start.md 'merlon enroll --dir DIR' "DIR=$first --listen $host:$port" >"$tmp/enroll1.log" 2>&1 &
    started+=($!)
    within 10 grep -q serving "$tmp/enroll1.log" &&
        as quick-start.md 'merlon token app@web2.example --at web1.example:4379 --dir DIR' "web1.example:4379=$host:$port" "$web2" "DIR=$first" >"$tmp/token1" || return 1
    token=$(grep -o 'MRLN-[^ ]*' "$tmp/token1" | head -1)
    as quick-start.md 'merlon join TOKEN --dir DIR' "TOKEN=$token" "DIR=$second" || return 1
    kept_open | as quick-start.md "${erl/NODE/web1.example}" "$libs" "$web1" "DIR=$first" >"$tmp/first.log" 2>&1 &
    started+=($!)
    within 10 eval 'epmd -names | grep -q "^name app "' || { cat "$tmp/first.log"; return 1; }
    {
        as quick-start.md "1> net_adm:ping('app@web1.example')." "$web1"
        as quick-start.md "2> merlon:is_encrypted('app@web1.example')." "$web1"
        as quick-start.md '3> merlon:connections().'
        echo 'halt().'
    } | as quick-start.md "${erl/NODE/web2.example}" "$libs" "$web2" "DIR=$second" >"$tmp/second.log" 2>&1
    cat "$tmp/second.log"
    grep -q pong "$tmp/second.log" && grep -q '> true' "$tmp/second.log" && grep -q 'tls_version => <<"1.3">>' "$tmp/second.log" &&
        said 'ok    trust' as quick-start.md 'merlon doctor --dir DIR' "DIR=$second" &&
        said open: as quick-start.md 'merlon explain app@web1.example --as app@web2.example --dir DIR' "$web2" "$web1" "DIR=$second" &&
        make -C "$root" PREFIX="$tmp/usr" uninstall && [ -z "$(find "$tmp/usr" ! -type d)" ] && [ -e "$second/keyring" ] &&
        mkdir "$tmp/a" && : >"$tmp/a/mine" && make -C "$root" PREFIX="$tmp/a b" uninstall && [ -e "$tmp/a/mine" ]
}

# ---- audit ----

audited() {
    cwd=$tmp/project
    printf -- '-module(shop_image).\n-export([convert/1]).\nconvert(Name) -> os:cmd("convert " ++ Name ++ " out.png").\n' >"$cwd/src/shop_image.erl"
    printf 'defmodule Shop do\n  def name(text), do: String.to_atom(text)\nend\n' >"$cwd/lib/shop.ex"
    printf 'defmodule Shop.MixProject do\n  use Mix.Project\n  def project, do: [app: :shop, version: "1.0.0"]\nend\n' >"$cwd/mix.exs"
    export ERL_LIBS=$mixed
    said os_command as audit.md 'bin/merlon audit' 'bin/=' && said dynamic_atom as audit.md 'mix merlon.audit' &&
        said '1 medium' as audit.md 'mix merlon.audit lib --format sarif --output audit.sarif' && grep -q '"2.1.0"' "$cwd/audit.sarif" &&
        said verdict as cookie.md 'mix merlon.cookie' || return 1
    unset ERL_LIBS
    said os_command as audit.md 'merlon audit --explain all' && said CWE-78 as audit.md 'merlon audit --explain os_command' &&
        as audit.md 'merlon audit --write-baseline audit.base' 'audit --=audit src --' && as audit.md 'merlon audit --baseline audit.base' 'audit --=audit src --'
}

# A node that runs, one that does not run merlon, and two ports, from outside.
audited_live() {
    local from="merlon audit=merlon audit --dir $dir" ports
    erl -noshell -noinput -name "plain@$host" -setcookie guides >"$tmp/plain.log" 2>&1 </dev/null &
    started+=($!)
    echo guides >"$tmp/cookie" && chmod 600 "$tmp/cookie" && within 10 eval 'epmd -names | grep -q plain' || return 1
    cwd=$tmp/project
    ports=$(cat "$tmp/dist")
    said "shop@$host" as audit.md 'merlon audit --node shop@web1' "$from" "web1=$host" &&
        said "shop@$host" as audit.md 'merlon audit --node shop@web1 --cluster' "$from" "web1=$host" &&
        said "plain@$host" as audit.md 'merlon audit --node shop@web1 --over inet_tcp' "$from --cookie $tmp/cookie" "shop@web1=plain@$host" &&
        said plain as audit.md 'merlon audit --wire 10.0.0.7' "10.0.0.7=$host" &&
        said '2 ports scanned' as audit.md 'merlon audit --wire 10.0.0.7:9100 --wire 10.0.0.8:9100' "10.0.0.7:9100=$host:$ports" "10.0.0.8:9100=$host:$ports" &&
        said decoy as audit.md 'merlon audit --bait 10.0.0.7 --for 10m' "10.0.0.7=$host" 10m=2s &&
        said decoy as audit.md 'merlon audit --bait 10.0.0.7 --gossip 230.1.1.251:45892' "10.0.0.7=$host" "230.1.1.251:45892=$host:$(free_port) --for 1s"
}

# ---- joining, certificates, keyrings ----

joins() {
    local port token
    port=$(free_port)
    cwd=$root
    as identity.md 'bin/merlon enroll' "enroll=enroll --dir $dir --listen $host:$port" >"$tmp/enroll.log" 2>&1 &
    started+=($!)
    within 10 grep -q serving "$tmp/enroll.log" || { cat "$tmp/enroll.log"; return 1; }
    as identity.md 'bin/merlon token app@web1.example' "token=token --dir $dir --at $host:$port" >"$tmp/token" || return 1
    token=$(grep -o 'MRLN-[^ ]*' "$tmp/token" | head -1)
    said 'Joined cluster shop as app@web1.example' as identity.md 'bin/merlon join MRLN-1-01ABTEKTGSX3D7BQB1S0...' "MRLN-1-01ABTEKTGSX3D7BQB1S0...=$token --dir $tmp/web1" &&
        said MRLN as identity.md 'bin/merlon token NODE... [--ttl 30m] [--days 90] [--at HOST:PORT] [--cli]' "token NODE...=token --dir $dir app@web2.example" \
            '[--ttl 30m]=--ttl 30m' '[--days 90]=--days 90' "[--at HOST:PORT]=--at $host:$port" ' [--cli]=' &&
        said app@web1.example as identity.md 'bin/merlon token --list' "token=token --dir $dir" &&
        as identity.md 'bin/merlon token --revoke ID' "token=token --dir $dir" "ID=$(merlon token --list --dir "$dir" | awk '/web2/ { print $1 }')"
}

takes_back() {
    local serial
    as identity.md 'bin/merlon renew app@web1' "renew app@web1=renew c@$host --dir $dir" &&
        as identity.md 'bin/merlon revoke app@web1 --reason key_compromise' "revoke app@web1=revoke c@$host --dir $dir" || return 1
    serial=$(openssl x509 -in "$dir/nodes/ca@$host/cert.pem" -noout -serial | cut -d= -f2)
    as identity.md 'bin/merlon revoke 01ab23...' "revoke 01ab23...=revoke ${serial,,} --dir $dir" && said "c@$host" as identity.md 'bin/merlon revoked' "revoked=revoked --dir $dir"
}

secret_identity() {
    cwd=$root
    as identity.md 'bin/merlon init --secret' "--secret=--secret --dir $tmp/secret" || return 1
    printf 'node().\nhalt().\n' | said "app@$host" as identity.md 'erl -name app@web1.example.org -proto_dist merlon -merlon_dir DIR' "web1.example.org=$host" "DIR=$tmp/secret -pa $ebin"
}

keyrings() {
    local to="keyring=keyring --dir $tmp/secrets"
    cwd=$tmp
    as secrets.md 'merlon keyring --new' "$to" && said preferred as secrets.md 'merlon keyring' "$to" && said Added as secrets.md 'merlon rotate secret --grace 24h' "secret=secret --dir $tmp/secrets" || return 1
    echo '{cluster, "shop"}.' >"$tmp/secrets/merlon.config"
    terminal bash -c "$(printf %q "$root/bin/merlon") keyring --new --passphrase --dir $tmp/secrets"
    grep -qxF 'secrets.md | merlon keyring --new --passphrase' "$tmp/commands" && echo 'secrets.md | merlon keyring --new --passphrase' >>"$tmp/done"
    shows Passphrase: 10 && types 'a long way to go home' && shows 'Once more' 10 && types 'a long way to go home' && shows Added 20
    local status=$?
    ended && return $status
}

to_store() {
    cwd=$tmp
    (dir=$(as providers.md 'dir=$(mktemp -d)' "\$(mktemp -d)=$tmp/store; mkdir $tmp/store; echo \"\$dir\"") && export dir &&
        as providers.md 'merlon keyring --new --dir "$dir"' && grep -q '^merlon keyring 1$' "$dir/keyring" && as providers.md 'rm -r "$dir"' && [ ! -e "$dir" ])
}

cookies() {
    cwd=$root
    rm -f "$HOME/.erlang.cookie" && printf ABCDEFGHIJKLMNOPQRST >"$HOME/.erlang.cookie" && chmod 400 "$HOME/.erlang.cookie" && said verdict as cookie.md 'bin/merlon cookie'
}

packages() {
    local user_is
    cwd=$tmp
    for user_is in rabbitmq ejabberd; do
        [ $user_is = rabbitmq ] && set -- rabbits rabbit@web1 web1 || set -- jabber ejabberd@chat1.example.org chat1.example.org
        set -- "$@" "sudo -u $user_is merlon=merlon" "/var/lib/$user_is/merlon=$tmp/$user_is"
        as $user_is.md "sudo -u $user_is merlon init --dir /var/lib/$user_is/merlon --cluster $1" "${@:4}" &&
            as $user_is.md "sudo -u $user_is merlon cert $2 --dir /var/lib/$user_is/merlon" "${@:4}" &&
            as $user_is.md "sudo -u $user_is merlon cert --cli $user_is $3 --dir /var/lib/$user_is/merlon" "${@:4}" || return 1
    done
}

# ---- without epmd ----

# A terminal for each, as the last two are remote shells on the first.
without_epmd() {
    local erl='-proto_dist merlon -epmd_module merlon_epmd -start_epmd false' libs=".../merlon/ebin=$ebin" node="a@host=a@$host" elixir
    elixir=$(elixir -e 'IO.puts(:code.lib_dir(:elixir) |> Path.dirname())')
    new_dir "$tmp/names" shop "a@$host" && merlon cert --cli "$user" "$host" --dir "$tmp/names" &&
        echo "{epmd, {names, [{port, $(free_port)}]}}." >>"$tmp/names/merlon.config" || return 1
    cwd=$tmp
    export MERLON_DIR=$tmp/names
    kept_open | as epmd.md "erl -name a@host $erl -pa .../merlon/ebin" "$node" "$libs $elixir/elixir/ebin $elixir/iex/ebin $elixir/logger/ebin" >"$tmp/a.log" 2>&1 &
    started+=($!)
    within 10 merlon explain "a@$host" --as "a@$host" --dir "$MERLON_DIR" || sleep 3
    remote "(a@$host)1>" as epmd.md "erl -name undefined@host $erl -remsh a@host -pa .../merlon/ebin" "undefined@host=undefined@$host" "$node" "$libs" &&
        remote "iex(a@$host)1>" as epmd.md "iex --erl \"$erl\" --name rem-1f2e-me@host --remsh a@host" "-me@host=-me@$host" " a@host= a@$host"
}

remote() {
    local prompt=$1 status=0
    shift
    export -f as
    export tmp cwd
    ERL_LIBS=$root/_build/default/lib terminal bash -c "$(printf '%q ' "$@")"
    shows "$prompt" 20 || status=1
    leaves_shell
    ended && return $status
}

# ---- terms ----

# The shell's answers are those of the guide.
terms_shell() {
    grep -E '^terms.md \| [0-9]> ' "$tmp/commands" | tee -a "$tmp/done" | sed 's/^terms.md | [0-9]> //' >"$tmp/lines"
    awk '/^```erlang/ { inside = 1; next } /^```/ { inside = 0 } inside && !/^[0-9]> /' "$root/docs/guides/terms.md" | sed 's/<0\.[0-9]*\.0>/PID/' >"$tmp/expected"
    (cat "$tmp/lines"; echo 'halt().') | erl -boot no_dot_erlang -pa "$ebin" 2>&1 | sed -E 's/^([0-9]+> ?)+//; s/<0\.[0-9]+\.0>/PID/' | grep -vxE 'ok|Eshell.*|Erlang/OTP.*|\*.*|' >"$tmp/actual"
    # Where the lines are broken is the terminal's affair.
    diff <(tr -d ' \n' <"$tmp/expected") <(tr -d ' \n' <"$tmp/actual") || diff "$tmp/expected" "$tmp/actual"
}

terms_elixir() {
    local line='Merlon.Term.decode!(:erlang.term_to_binary(1..9_999_999_999))'
    grep -qxF "terms.md | iex> $line" "$tmp/commands" && echo "terms.md | iex> $line" >>"$tmp/done"
    said "$(grep -F '** (Merlon.Error)' "$root/docs/guides/terms.md")" elixir -pa "$mixed/merlon/ebin" -e "$line"
}

# ---- the sum ----

# A recipe is done by a script that names its guide.
recipes() {
    local guide name script missing=0
    while read -r guide _ _ name; do
        script=$(grep -lE "^guide=.*/$guide\$" "$root"/test/support/*.sh | xargs -r grep -lE "(follow|do_as|recipe) $name\b" | head -1)
        if [ -n "$script" ] && runs_in_ci "${script#"$root"/}"; then echo "$guide | recipe $name" >>"$tmp/done"; else echo "nobody does $guide, recipe $name"; missing=1; fi
    done < <(grep ' | recipe ' "$tmp/commands")
    return $missing
}

# Common Test, EUnit and fixtures are; of scripts those that run.sh or the Makefile names.
runs_in_ci() {
    local name
    case $1 in
        test/support/run.sh | .ci/run | test/erlang/* | test/fixtures/*) [ -e "$root/$1" ] ;;
        *) name=$(basename "$1" .sh) && { grep -qE "scripts .*\b$name\b" "$root/test/support/run.sh" || grep -qF "$name.sh" "$root/Makefile"; } ;;
    esac
}

are_elsewhere() {
    local guide script command words wrong=0
    while IFS='|' read -r guide script command words; do
        guide=${guide% } script=${script# } script=${script% } command=${command# } command=${command% } words=${words# }
        if runs_in_ci "$script" && grep -qF -- "$words" "$root/$script"; then echo "$guide | $command" >>"$tmp/done"; else echo "$script does not do: $command"; wrong=1; fi
    done < <(elsewhere)
    left_out | sed 's/ | [^|]*$//' >>"$tmp/done"
    return $wrong
}

# Both ways: what is in the guides and nowhere here, and what is here and in no guide.
all_of_it() {
    sort -u "$tmp/done" | diff "$tmp/commands" - >"$tmp/difference" && return
    sed -n 's/^< /done by nobody: /p; s/^> /in no guide: /p' "$tmp/difference"
    return 1
}

# `merlon CMD` within sentences: such a command, and such options.
in_sentences() {
    local line words command option wrong=0
    for command in $(merlon --help | awk '/^  [a-z]+ / { print $1 }'); do merlon "$command" --help >"$tmp/help.$command"; done
    while read -r line; do
        words=${line#bin/} words=${words#mix } words=${words#merlon} words=${words#[ .]}
        command=${words%% *}
        case $command in gen) command=cert ;; gen.*) command=${command#gen.} ;; -*) continue ;; esac
        [ -e "$tmp/help.$command" ] || { case $command in setup | CMD | COMMAND | '*' | \'*) continue ;; esac; echo "no such command: $line"; wrong=1; continue; }
        for option in $(grep -oE -- '--[a-z][a-z-]*' <<<"$words"); do
            grep -qF -- "$option" "$tmp/help.$command" || { echo "no such option: $line"; wrong=1; }
        done
    done < <(grep -ohE '`(bin/merlon |merlon |mix merlon\.)[^`]*`' "${guides[@]}" | tr -d '`' | sort -u)
    return $wrong
}

check 'README: certificates' readme_init && check 'README: two shells link' readme_links
check 'quick start: two machines' quick_start
if check 'a node' two_nodes; then
    check 'operate: the shell' operate_shell
    check 'operate: explain, status page' operate_explain
    check 'doctor' doctor
    check 'audit: code' audited
    check 'audit: running nodes, ports, a decoy' audited_live
    check 'identity: join' joins
    check 'identity: renew, revoke' takes_back
fi
check 'identity: the secret identity' secret_identity
check 'secrets: keyrings' keyrings
check 'providers: what to store' to_store
check 'cookie' cookies
check 'RabbitMQ, ejabberd: certificates' packages
check 'epmd: without' without_epmd
check 'terms: Erlang, answers and all' terms_shell
check 'terms: Elixir' terms_elixir
check 'recipes are done by scripts' recipes
check 'what is done elsewhere is there' are_elsewhere
check 'nothing is done by nobody, and nothing here is of no guide' all_of_it
check 'commands in sentences exist, with their options' in_sentences
finish
