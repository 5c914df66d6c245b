#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Is every security check missed when it is gone? Takes out one check after the other (`MERLON_KNOCKOUT=NAME`, in a build
# with `--cfg knockouts`: native/knockout) and asserts that exactly the tests named here turn red, no fewer and no more.
# The checks that a peer on the network meets first are also taken out of the NIF and attacked over it.
#
#   knockouts.sh [NAME...]    all, or those named; prints one line each and `N passed, N failed`
#
# CARGO_TARGET_DIR says where (default: target/knockouts of this checkout).
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root" || exit 2
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/knockouts}
export PATH=$PATH:$HOME/.cargo/bin
# Half of the time would go into debug information that nobody looks at.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
work=$CARGO_TARGET_DIR/work
mkdir -p "$work"
passed=0
failed=0

# KNOCKOUT PACKAGE TARGET TEST: what must turn red. Validity is checked along the path, so that it goes with peer_chain.
red() {
    cat <<'TABLE'
peer_chain       merlon_pki     chains        refuses_chain_of_another_ca
peer_chain       merlon_pki     chains        refuses_chain_of_a_ca_that_copied_our_name
peer_chain       merlon_pki     chains        refuses_expired_certificate
peer_chain       merlon_pki     chains        refuses_certificate_not_yet_valid
peer_chain       merlon_tls     certificates  a_certificate_of_another_ca_is_refused
peer_chain       merlon_tls     certificates  an_expired_certificate_is_refused
peer_chain       merlon_pki     derived       refuses_a_certificate_from_another_secret
peer_chain       merlon_tls     names         an_asker_of_another_ca_is_refused
peer_chain       merlon_tls     names         a_keeper_of_another_ca_is_shown_nothing
peer_chain       merlon_pki     derived       refuses_a_certificate_from_a_secret_out_of_its_time
known_signature  merlon_pki     again         refuses_changed_bits_of_a_certificate_that_is_known
known_signature  merlon_pki     lib           known::tests::a_known_one_vouches_for_no_other_key_bytes_or_signature
live_links       merlon_pki     again         refuses_a_live_peer_whose_certificate_has_run_out
live_links       merlon_pki     again         refuses_a_live_peer_that_was_revoked_even_by_a_stale_list
live_links       merlon_pki     again         refuses_a_live_peer_whose_anchor_is_gone
node_name        merlon_pki     names         refuses_another_nodes_name
node_name        merlon_pki     names         tools_never_take_ordinary_names
node_name        merlon_tls     certificates  a_client_that_claims_the_name_of_another_node_is_refused
node_name        merlon_tls     certificates  a_server_that_is_another_node_is_refused_before_it_sees_our_certificate
eku              merlon_pki     chains        refuses_wrong_eku
eku              merlon_pki     chains        refuses_missing_eku
eku              merlon_tls     certificates  a_certificate_for_the_other_role_only_is_refused
expiry           merlon_pki     chains        refuses_expired_certificate
expiry           merlon_pki     chains        refuses_certificate_not_yet_valid
expiry           merlon_pki     derived       refuses_a_certificate_from_a_secret_out_of_its_time
expiry           merlon_tls     certificates  an_expired_certificate_is_refused
trust_domain     merlon_pki     chains        refuses_certificate_of_another_cluster
trust_domain     merlon_tls     certificates  a_certificate_of_another_cluster_is_refused_even_from_our_ca
issuers          merlon_pki     issuers       refuses_a_ca_below_an_anchor_of_path_length_0
issuers          merlon_pki     issuers       refuses_leafs_of_an_anchor_for_other_purposes
issuers          merlon_pki     issuers       refuses_an_anchor_with_an_unknown_critical_extension
issuers          merlon_pki     issuers       refuses_an_issuer_whose_key_may_not_sign_certificates
issuers          merlon_pki     issuers       refuses_an_extension_that_comes_twice
issuers          merlon_pki     issuers       refuses_lists_of_an_anchor_that_may_sign_none
list_signature   merlon_pki     spread        refuses_a_list_that_no_anchor_has_signed
list_signature   merlon_pki     spread        refuses_a_list_of_an_anchor_that_is_out_of_its_time
renewal_vouched  merlon_pki     renewal       refuses_who_has_the_certificate_and_not_its_key
rotation_old_key merlon_pki     rotation      refuses_a_statement_that_the_old_root_has_not_signed
rotation_new_key merlon_pki     rotation      refuses_a_new_root_that_has_not_signed
rotation_sequence merlon_pki    rotation      refuses_what_is_known_or_came_before_it
rotation_cluster merlon_pki     rotation      refuses_a_statement_for_another_cluster
rotation_root    merlon_pki     rotation      refuses_a_new_root_that_is_none_of_this_cluster
csr_signature    merlon_pki     csr           refuses_a_request_that_is_not_signed_with_its_own_key
csr_names        merlon_pki     csr           refuses_a_request_for_another_name
csr_names        merlon_pki     csr           refuses_a_request_with_another_subject
csr_extensions   merlon_pki     csr           refuses_a_request_for_extensions_that_are_not_given
proof            merlon_secret  lib           root::tests::knockout_proof_a_proof_of_another_secret_session_name_or_role_is_refused
proof            merlon_secret  lib           root::tests::knockout_proof_a_live_proof_and_one_of_a_handshake_are_two_things
proof            merlon_tls     live          a_secret_proved_on_another_link_or_that_is_another_is_refused
proof            merlon_tls     proof         a_client_with_another_secret_is_refused_by_the_server
proof            merlon_tls     proof         a_client_shows_no_proof_to_a_server_with_another_secret
reproof_name      merlon_tls    live          another_nodes_certificate_is_refused_even_with_its_key
reproof_name      merlon_tls    live          a_tool_without_a_name_of_its_own_proves_itself_too
reproof_signature merlon_tls    live          a_certificate_whose_key_is_not_held_is_refused
reproof_signature merlon_tls    live          a_certificate_shown_on_another_link_is_refused
reproof_binding   merlon_tls    live          a_certificate_shown_on_another_link_is_refused
reproof_binding   merlon_tls    live          a_secret_proved_on_another_link_or_that_is_another_is_refused
kdf_floor        merlon_secret  lib           passphrase::tests::knockout_kdf_floor_a_passphrase_is_not_stretched_cheaply
kdf_floor        merlon_secret  kdf           knockout_kdf_floor_a_password_is_not_hashed_weakly
kdf_ceiling      merlon_secret  lib           passphrase::tests::knockout_kdf_ceiling_a_passphrase_takes_no_more_memory_than_there_may_be
kdf_ceiling      merlon_secret  kdf           knockout_kdf_ceiling_memory_over_the_ceiling_is_refused
keyring_expiry   merlon_secret  lib           entry::tests::knockout_keyring_expiry_an_expired_entry_gives_no_key
transfer_binding merlon_secret  lib           transfer::tests::knockout_transfer_binding_an_old_one_or_one_for_another_node_is_refused
transfer_id      merlon_secret  lib           transfer::tests::knockout_transfer_id_another_secret_under_the_id_is_refused
kdf_verify       merlon_secret  kdf           knockout_kdf_verify_another_password_or_a_changed_hash_is_refused
plaintext        merlon_store   lib           url::tests::knockout_plaintext_nothing_goes_to_another_machine_in_the_clear
plaintext        merlon_store   vault         knockout_plaintext_a_token_is_not_sent_in_the_clear
plaintext        merlon_store   gcp           knockout_plaintext_a_grant_is_not_sent_in_the_clear
store_checksum   merlon_store   gcp           knockout_store_checksum_a_value_of_another_checksum_is_refused
file_mode        merlon_fetch   lib           file::tests::knockout_file_mode_a_file_that_others_may_use_is_refused
file_mode        merlon_fetch   file          knockout_file_mode_a_secret_that_others_may_read_is_refused
file_mode        merlon_fetch   file          links_are_followed_to_what_is_checked
file_mode        merlon_fetch   program       knockout_file_mode_a_program_that_others_may_change_is_not_started
record_sequence  merlon_record  hostile       knockout_record_sequence_a_replayed_reordered_or_dropped_record_is_refused
foreign_types    merlon_record  hostile       knockout_foreign_types_records_of_merlon_are_refused_of_a_peer_of_another_carrier
foreign_host     merlon_pki     lib           foreign::tests::knockout_foreign_host_another_host_is_refused
term_budget      merlon_wire    etf           each_limit_is_held
term_budget      merlon_wire    etf           new_atoms_are_told_once_and_bounded
term_kind        merlon_wire    etf           kinds_are_let_in_one_by_one
term_claimed_size merlon_wire   etf           a_lie_about_the_size_is_seen_before_the_end
join_pin         merlon_pki     pin           refuses_a_chain_of_another_ca
join_pin         merlon_tls     join          a_server_of_another_ca_is_refused_before_anything_is_shown
join_node        merlon_pki     pin           refuses_a_server_that_is_a_tool
join_node        merlon_tls     join          a_server_that_is_a_tool_is_refused
join_proof       merlon_secret  lib           join::tests::knockout_join_proof_of_another_token_session_or_role_is_refused
join_limit       merlon_tls     join          a_message_longer_than_allowed_ends_the_session
names_keeper     merlon_pki     directory     a_tool_keeps_no_names
names_keeper     merlon_tls     names         a_keeper_that_is_a_tool_is_shown_nothing
names_alike      merlon_tls     names         a_stranger_can_not_tell_the_port_of_names_from_one_of_links
names_alike      merlon_tls     names         neither_port_serves_who_belongs_to_the_other
status_tool      merlon_pki     directory     a_node_does_not_see_the_status_page
status_tool      merlon_tls     status        a_nodes_certificate_gets_no_session
names_register   merlon_pki     directory     refuses_to_register_the_name_of_another
names_learn      merlon_pki     directory     who_could_not_link_is_not_told
TABLE
}

# KNOCKOUT CASE [SUITE]: the case, of merlon_attack_SUITE or that one, that must turn red when the NIF lacks that check.
attacks() {
    cat <<'TABLE'
peer_chain    a_certificate_of_another_ca_is_refused
peer_chain    an_expired_certificate_is_refused
node_name     a_node_that_claims_another_nodes_name_is_refused
eku           a_certificate_for_servers_only_is_refused_of_a_client
expiry        an_expired_certificate_is_refused
trust_domain  a_certificate_of_another_cluster_is_refused_even_from_a_trusted_ca
proof         a_proof_that_is_made_up_is_refused
live_links    the_link_of_a_revoked_peer_is_closed_and_not_made_again merlon_attack_revoked_SUITE
live_links    the_link_of_a_peer_whose_ca_is_no_longer_trusted_is_closed merlon_live_SUITE
keyring_expiry an_expired_entry_is_never_accepted merlon_keyring_SUITE
live_links    a_handshake_begun_before_the_revocation_gives_no_link merlon_attack_revoked_SUITE
list_signature a_list_that_no_trusted_ca_has_signed_is_refused merlon_spread_SUITE
renewal_vouched a_request_with_a_stolen_certificate_is_refused merlon_attack_renew_SUITE
rotation_old_key a_root_that_the_old_one_has_not_signed_is_not_trusted merlon_attack_roots_SUITE
rotation_new_key a_new_root_that_has_not_signed_takes_nobodys_place merlon_attack_roots_SUITE
rotation_sequence a_statement_that_was_undone_is_not_taken_again merlon_attack_roots_SUITE
rotation_cluster a_statement_for_another_cluster_is_not_taken merlon_attack_roots_SUITE
rotation_root a_root_of_another_cluster_is_not_trusted merlon_attack_roots_SUITE
join_pin      a_join_server_of_another_ca_is_shown_nothing merlon_attack_join_SUITE
join_node     a_join_server_that_is_a_tool_is_shown_nothing merlon_attack_join_SUITE
join_proof    a_join_server_that_does_not_know_the_token_gets_no_request merlon_attack_join_SUITE
join_proof    a_proof_from_another_session_is_refused merlon_attack_join_SUITE
join_proof    a_wrong_secret_is_refused merlon_attack_join_SUITE
names_keeper   a_tool_that_holds_the_port_is_not_believed merlon_attack_names_SUITE
names_register a_node_can_not_register_another_nodes_name merlon_attack_names_SUITE
names_register a_tool_can_not_register_a_nodes_name merlon_attack_names_SUITE
names_learn    a_tool_is_not_told_of_tools merlon_attack_names_SUITE
reproof_name      another_nodes_certificate_is_refused merlon_attack_live_SUITE
reproof_signature a_certificate_with_a_bad_signature_is_refused merlon_attack_live_SUITE
reproof_binding   a_proof_of_another_link_is_refused merlon_attack_live_SUITE
TABLE
}

main() {
    local name
    wrapper
    rm -f "$work/built"
    for name in ${*:-$(red | awk '!seen[$1]++ { print $1 }')}; do
        if ! red | grep -q "^$name "; then echo "knockouts.sh: there is no check named $name" >&2; exit 2; fi
        export MERLON_KNOCKOUT=$name
        mkdir -p "$work/$name"
        crates "$name"
        if attacks | grep -q "^$name "; then nif "$name"; fi
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# Only the workspace's own crates can lack checks, and cargo keeps apart what it builds with a wrapper.
wrapper() {
    printf '#!/bin/sh\nexec "$@" --cfg knockouts\n' >"$work/rustc"
    chmod +x "$work/rustc"
    export RUSTC_WORKSPACE_WRAPPER=$work/rustc
}

# All tests of the table that are in the same programs are run, so that a check that takes others with it shows.
crates() {
    local name=$1 package target log=$work/$1/tests.log expected found tests
    : >"$log"
    while read -r package target; do
        tests=$(red | awk -v p="$package" -v t="$target" '$2 == p && $3 == t { print $4 }' | sort -u)
        if [ "$target" = lib ]; then target=--lib; else target="--test $target"; fi
        # shellcheck disable=SC2086
        cargo test --locked --package "$package" $target -- --exact $tests >>"$log" 2>&1 </dev/null
    done < <(red | awk -v k="$name" '$1 == k { print $2, $3 }' | sort -u)
    expected=$(red | awk -v k="$name" '$1 == k { print $4 }' | sort -u)
    found=$(awk '/^test .* \.\.\. FAILED$/ { print $2 }' "$log" | sort -u)
    verdict "$name" "$expected" "$found" "$log"
}

# The same attack over a node with a NIF that lacks the check; the other attacks are still refused.
nif() {
    local name=$1 log=$work/$1/nif.log own found suite
    own=$(attacks | awk -v k="$name" '$1 == k { print $2 }')
    : >"$log"
    if library >>"$log" 2>&1; then
        # shellcheck disable=SC2046
        found=$(for suite in $({ attacks | awk -v k="$name" '$1 == k && $3 { print $3 }'; echo merlon_attack_SUITE; } | sort -u); do
                    suite "$suite" "$work/$name" $(cases "$suite" "$name")
                done 2>>"$log")
    fi
    verdict "$name over the NIF" "$own" "${found-}" "$log"
}

# What is run of a suite: of merlon_attack_SUITE all of the table, so that a check that takes others with it shows.
cases() {
    attacks | awk -v suite="$1" -v k="$2" '
        { of = $3 ? $3 : "merlon_attack_SUITE" }
        of == suite && ($1 == k || !$3) { print $2 }' | sort -u
}

# Once: the NIF, the Erlang modules and the tests, in a copy so that other runs' beam files are left alone.
library() {
    local built=$CARGO_TARGET_DIR/debug/libmerlon_nif
    [ ! -e "$work/built" ] || return 0
    cargo build --locked --quiet --package merlon_nif || return
    if [ -e "$built.dylib" ]; then built=$built.dylib; else built=$built.so; fi
    rm -rf "$work/merlon" "$work/tests"
    mkdir -p "$work/merlon/ebin" "$work/merlon/priv" "$work/tests"
    cp "$built" "$work/merlon/priv/merlon_nif.so"
    cp erlang_src/merlon.app.src "$work/merlon/ebin/merlon.app"
    erlc +nowarn_undefined_behaviour -o "$work/merlon/ebin" erlang_src/*.erl &&
        erlc -o "$work/tests" $(attacks | awk '{ print $3 ? $3 : "merlon_attack_SUITE" }' | sort -u | sources) \
            $(ls test/erlang/*.erl | grep -v '_SUITE\|_tests') &&
        touch "$work/built"
}

# The suites that standard input names.
sources() { while read -r suite; do ls test/{attack,erlang}/"$suite.erl" 2>/dev/null; done; }

# suite SUITE DIR CASE...: runs these cases and prints those that failed; the rest of what is said goes to stderr.
suite() {
    rm -rf "$2/logs" && mkdir -p "$2/logs"
    erl -noshell -pa "$work/merlon/ebin" "$work/tests" -eval '
        [Suite, Tests, Logs | Cases] = init:get_plain_arguments(),
        {Ok, Failed, {0, 0}} = ct:run_test([{dir, Tests}, {suite, list_to_atom(Suite)}, {logdir, Logs}, {auto_compile, false},
                                            {testcase, [list_to_atom(Case) || Case <- Cases]}]),
        true = Ok + Failed =:= length(Cases),
        halt(0).' -extra "$1" "$work/tests" "$2/logs" "${@:3}" >&2 </dev/null || echo "not all of: ${*:3}"
    find "$2/logs" -name suite.log -exec awk '
        /^=case/ { sub(".*:", "", $2); name = $2 } /^=result +failed/ { print name }' {} + | sort -u
}

# verdict WHAT EXPECTED FOUND LOG
verdict() {
    local green more
    green=$(comm -23 <(sort <<<"$2") <(sort <<<"$3") | xargs)
    more=$(comm -13 <(sort <<<"$2") <(sort <<<"$3") | xargs)
    if [ -z "$green$more" ]; then
        passed=$((passed + 1))
        echo "ok      $1: red, as it must be: $(xargs <<<"$2")"
    else
        failed=$((failed + 1))
        echo "FAILED  $1:${green:+ still green or not run: $green;}${more:+ red too: $more;} see $4"
        grep -E '^(error|warning: unused)' -A 5 "$4" | head -n 20 | sed 's/^/        /'
    fi
}

main "$@"
