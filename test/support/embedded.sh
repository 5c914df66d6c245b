#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A release in embedded mode over merlon, from a systools boot script.
. "$(dirname "$0")/../fixtures/lib.sh"
dir=$tmp/merlon
libs=$tmp/libs
a=embedded_a@127.0.0.1
b=embedded_b@127.0.0.1

# The applications where a release would have them, and a boot script that names them.
systools() {
    mkdir -p "$libs/merlon-0.1.0" "$libs/shop-1/ebin" &&
        cp -rL "$root"/_build/default/lib/merlon/{ebin,priv} "$libs/merlon-0.1.0/" &&
        erlc -Werror -o "$libs/shop-1/ebin" "$fixtures/link_check.erl" &&
        echo '{application, shop, [{description, ""}, {vsn, "1"}, {modules, [link_check]}, {registered, []}, {applications, [kernel, stdlib]}]}.' \
            >"$libs/shop-1/ebin/shop.app" &&
        cd "$tmp" && erl -noshell -noinput -boot no_dot_erlang -eval '
            {ok, [{application, merlon, Merlon}]} = file:consult("libs/merlon-0.1.0/ebin/merlon.app"),
            "0.1.0" = proplists:get_value(vsn, Merlon),
            Vsn = fun(App) -> _ = application:load(App), {ok, V} = application:get_key(App, vsn), V end,
            Rel = {release, {"shop", "1"}, {erts, erlang:system_info(version)},
                   [{App, Vsn(App)} || App <- [kernel, stdlib, sasl]] ++ [{merlon, "0.1.0"}, {shop, "1"}]},
            ok = file:write_file("shop.rel", io_lib:format("~p.~n", [Rel])),
            {ok, systools_make, []} = systools:make_script("shop", [silent, {path, ["libs/*/ebin"]},
                                                                    {variables, [{"LIBS", "libs"}]}]),
            halt().' &&
        printf -- '-proto_dist merlon\n-merlon_dir %s\n-setcookie embedded\n-mode embedded\n' "$dir" >"$tmp/vm.args"
}

# boot NAME [ERLANG]: becomes the node.
boot() {
    exec erl -noshell -noinput -boot "$tmp/shop" -boot_var LIBS "$libs" -args_file "$tmp/vm.args" -name "$1" ${2:+-eval "$2"}
}

linked() {
    local first status=0
    boot $a >"$tmp/a.log" 2>&1 &
    first=$!
    started+=("$first")
    (boot $b "embedded = code:get_mode(), {ok, _} = application:get_key(merlon, vsn),
              [merlon] = [merlon || {merlon, _, _} <- application:which_applications()], link_check:main('$a').") || status=1
    stop "$first"
    [ $status = 0 ] || sed 's/^/first node: /' "$tmp/a.log"
    return $status
}

# It must not come up and listen without an identity.
ends_at_once() {
    local node status=0
    boot stranger@127.0.0.1 >"$tmp/stranger.log" 2>&1 &
    node=$!
    started+=("$node")
    within 5 gone "$node" || return 1
    wait "$node" || status=$?
    cat "$tmp/stranger.log"
    [ $status = 1 ] && [ "$(grep -c '^merlon: there is no certificate for stranger@127.0.0.1' "$tmp/stranger.log")" = 1 ]
}

check 'the tree is built' test -s "$root/_build/default/lib/merlon/ebin/merlon.app" || finish
new_dir "$dir" test $a $b
if check 'systools makes a boot script' systools; then
    check 'systools: two nodes in embedded mode link' linked
    check 'systools: without its certificate a node says so and ends' ends_at_once
fi
finish
