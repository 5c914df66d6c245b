%% SPDX-License-Identifier: Apache-2.0
%% Which functions the rules are about, and which of their arguments; what brings data in, and what takes its
%% danger away. Modules of Elixir are written as strings.
-module(merlon_audit_sinks).

-export([index/0, sinks/4, result/3, indirect/4]).
-export_type([index/0, sink/0, result/0]).

%% The rule; the arguments that count (`any` for a finding whatever they are); a check of merlon_audit_checks.
-type sink() :: {merlon_audit_rules:id(), [pos_integer()] | any, Check :: atom()}.
-type result() :: input | file | stored | clean | pure | named | {lookup, Key :: pos_integer()}.
-opaque index() :: #{sinks := #{{module(), atom()} => [{arity() | any, sink()}]},
                     results := #{{module(), atom() | any} => result()},
                     indirect := #{mfa() => {pos_integer(), pos_integer(), pos_integer()}}}.

-spec index() -> index().
index() ->
    #{sinks => lists:foldl(fun put_sink/2, #{}, calls()),
      results => maps:from_list([{{module(M), F}, Kind} || {Kind, M, Fs} <- results(), F <- Fs]),
      indirect => maps:from_list([{{module(M), F, A}, At} || {M, F, A, At} <- indirect()])}.

put_sink({M, Fs, Arities, Rule, Args}, Index) -> put_sink({M, Fs, Arities, Rule, Args, always}, Index);
put_sink({M, F, Arities, Rule, Args, Check}, Index) when is_atom(F) ->
    put_sink({M, [F], Arities, Rule, Args, Check}, Index);
put_sink({M, Fs, Arities, Rule, Args, Check}, Index) ->
    New = [{Arity, {Rule, Args, Check}} || Arity <- arities(Arities)],
    lists:foldl(fun(F, Acc) ->
                    maps:update_with({module(M), F}, fun(Known) -> New ++ Known end, New, Acc)
                end, Index, Fs).

arities(any) -> [any];
arities(Arities) -> Arities.

%% Atoms of Elixir's modules; nothing of them is called.
%% merlon: allow dynamic_atom until 2027-11-30 because the names are those of this table
module(Name) when is_list(Name) -> binary_to_atom(iolist_to_binary([<<"Elixir">>, $., Name]));
module(Name) -> Name.

%% Arity `any` asks for all of that name.
-spec sinks(term(), term(), arity() | any, index()) -> [sink()].
sinks(M, F, Arity, #{sinks := Sinks}) ->
    [Sink || {Known, Sink} <- maps:get({M, F}, Sinks, []) ++ maps:get({M, any}, Sinks, []),
             Known =:= any orelse Arity =:= any orelse Known =:= Arity].

%% What a call gives, besides what its arguments are.
-spec result(term(), term(), index()) -> result() | other.
result(M, F, #{results := Results}) ->
    case Results of
        #{{M, F} := Kind} -> Kind;
        #{{M, any} := Kind} -> Kind;
        _ -> case lists:member(F, namers()) of true -> named; false -> other end
    end.

%% In whatever module: a library's own function of this name does the same.
namers() ->
    [list_to_atom, binary_to_atom, list_to_existing_atom, binary_to_existing_atom, to_atom, to_existing_atom, concat,
     safe_concat, binary_to_term, non_executable_binary_to_term].

%% Calls of a function that is named by arguments: where module, function and list of arguments stand.
-spec indirect(term(), term(), arity(), index()) -> {pos_integer(), pos_integer(), pos_integer()} | none.
indirect(M, F, Arity, #{indirect := Indirect}) -> maps:get({M, F, Arity}, Indirect, none).

calls() -> terms() ++ atoms() ++ commands() ++ code() ++ cluster() ++ tls() ++ crypto() ++ debug().

terms() ->
    [{erlang, binary_to_term, [1], unsafe_term, [1]},
     {erlang, binary_to_term, [2], unsafe_term, [1], is_unsafe_decode},
     {erlang, binary_to_term, [2], executable_term, [1], is_safe_decode},
     {zlib, [uncompress, gunzip, unzip], [1], zip_bomb, [1]},
     {zlib, inflate, [2, 3], zip_bomb, [2]},
     {zip, [unzip, extract, zip_get], [1, 2], zip_bomb, [1]},
     {erl_tar, extract, [1, 2], zip_bomb, [1]},
     {ets, file2tab, [1, 2], term_store, [1]},
     {dets, open_file, [1], term_store, [1]},
     {mnesia, [restore, install_fallback], [1, 2], term_store, [1]},
     {file, [consult], [1], consult, [1]},
     {file, [path_consult], [2], consult, [2]},
     {xmerl_scan, [string, file], [1, 2], xml_atoms, [1]},
     {xmerl_sax_parser, [stream, file], [2], xml_entities, [1], has_entities},
     {ets, [match, match_object, match_delete, select, select_delete, select_count], any, match_spec, [2]},
     {ets, new, [2], public_secret, any, is_public_secret}].

atoms() ->
    [{erlang, [list_to_atom], [1], dynamic_atom, [1]},
     {erlang, binary_to_atom, [1, 2], dynamic_atom, [1]},
     {erl_scan, [string, tokens], any, dynamic_atom, [1, 2]},
     {"String", to_atom, [1], dynamic_atom, [1]},
     {"List", to_atom, [1], dynamic_atom, [1]},
     {"Module", concat, [1], dynamic_atom, [1]},
     {"Module", concat, [2], dynamic_atom, [1, 2]},
     {"Code", ['string_to_quoted', 'string_to_quoted!'], [1, 2], dynamic_atom, [1], makes_atoms},
     {"Jason", ['decode', 'decode!'], [2], dynamic_atom, [1], has_atom_keys},
     {"Poison", ['decode', 'decode!'], [2], dynamic_atom, [1], has_atom_keys},
     {jsx, decode, [2], dynamic_atom, [1], has_atom_keys},
     {jsone, [decode, try_decode], [2], dynamic_atom, [1], has_atom_keys},
     {thoas, decode, [2], dynamic_atom, [1], has_atom_keys}].

commands() ->
    [{os, cmd, [1, 2], os_command, [1]},
     {"System", shell, [1, 2], os_command, [1]},
     {"System", cmd, [2, 3], os_command, [2], is_shell},
     {"System", cmd, [2, 3], program_choice, [1]},
     {exec, [run, run_link], [2, 3], os_command, [1]},
     {peer, [start, start_link, start_it], [1, 2], program_choice, [1]},
     {slave, [start, start_link], [3, 4], program_choice, [3]},
     {erlang, open_port, [2], open_port, [1], is_spawn},
     {"Port", open, [2], open_port, [1], is_spawn},
     {erlang, open_port, [2], os_command, [2], is_spawned_shell},
     {"Port", open, [2], os_command, [2], is_spawned_shell},
     {erlang, open_port, [2], program_choice, [1], is_spawn_executable},
     {"Port", open, [2], program_choice, [1], is_spawn_executable}].

code() ->
    [{erl_eval, [expr, exprs, expr_list], any, eval, [1]},
     {file, [eval, script], [1, 2], eval, [1]},
     {file, [path_eval, path_script], [2, 3], eval, [2]},
     {code, load_binary, [3], eval, [3]},
     {code, load_abs, [1], eval, [1]},
     {"Module", [eval_quoted, create], any, eval, [2]},
     {"Config.Reader", ['read!', 'read_imports!', 'eval!'], any, eval, [1, 2]},
     {"Code", [eval_string, eval_quoted, eval_quoted_with_env, eval_file, compile_string, compile_quoted, require_file,
               compile_file], any, eval, [1]},
     {"EEx", [eval_string, eval_file, compile_string, compile_file], any, eval, [1]},
     {erlang, apply, [3], dynamic_call, [1, 2]},
     {erlang, load_nif, [2], native_code, [1]},
     {erl_ddll, [load, load_driver, reload, reload_driver], [2], native_code, [1]},
     {erl_ddll, try_load, [3], native_code, [1]},
     {compile, [forms, noenv_forms], [1, 2], eval, [1]}].

cluster() ->
    [{rpc, [call, block_call, cast, async_call, server_call, multi_server_call, abcast, sbcast], any, remote_node, [1]},
     {rpc, [multicall, eval_everywhere], [4, 5], remote_node, [1]},
     {erpc, [call, cast, multicall, multicast, send_request], any, remote_node, [1]},
     {erlang, [spawn, spawn_link, spawn_monitor], [2, 4], remote_node, [1]},
     {erlang, [spawn_opt], [3, 5], remote_node, [1]},
     {erlang, spawn_request, [2, 3, 4, 5], remote_node, [1]},
     {proc_lib, [spawn, spawn_link], [2, 4], remote_node, [1]},
     {proc_lib, spawn_opt, [3, 5], remote_node, [1]},
     {"Node", [spawn, spawn_link, spawn_monitor], any, remote_node, [1]},
     {net_kernel, [connect_node, hidden_connect_node], [1], dial, [1]},
     {net_adm, ping, [1], dial, [1]},
     {"Node", [connect, ping], [1], dial, [1]},
     {erlang, set_cookie, [1], cookie_literal, [1], is_not_nocookie},
     {erlang, set_cookie, [2], cookie_literal, [2], is_not_nocookie},
     {auth, set_cookie, [1], cookie_literal, [1], is_not_nocookie},
     {"Node", set_cookie, [1], cookie_literal, [1], is_not_nocookie},
     {"Node", set_cookie, [2], cookie_literal, [2], is_not_nocookie},
     {global, [register_name, re_register_name], [2, 3], global_name, [1]},
     {global, [register_name, re_register_name], [3], global_resolver, any, is_own_resolver}].

tls() ->
    [{ssl, listen, [2], tls_client_cert, any, lets_strangers_in},
     {ssl, handshake, [2, 3], tls_client_cert, any, lets_strangers_in},
     {ssl, listen, [2], tls_no_versions, any, has_no_versions},
     {ssl, connect, [3], tls_no_versions, any, has_no_versions},
     {ssl, connect, [4], tls_no_versions, any, has_no_versions},
     {hackney, [request, get, post, put, delete, head, patch, connect], any, tls_verify_none, any, is_insecure},
     {ssl, cipher_suites, [2, 3], tls_ciphers, any, is_anonymous}].

crypto() ->
    [{crypto, hash, [2], weak_kdf, any, is_password},
     {erlang, md5, [1], weak_kdf, any, is_password},
     {crypto, pbkdf2_hmac, [5], weak_kdf, any, has_few_rounds},
     {crypto, [rand_uniform], [2], unsafe_function, any},
     {crypto, start, [0], unsafe_function, any},
     {crypto, enable_fips_mode, [1], unsafe_function, any},
     {random, any, any, unsafe_function, any},
     {http_uri, any, any, unsafe_function, any},
     {crypto, [private_encrypt, private_decrypt, public_encrypt, public_decrypt], [4], rsa_padding, any, is_pkcs1},
     {public_key, [encrypt_private, decrypt_private, encrypt_public, decrypt_public], [2, 3], rsa_padding, any,
      is_pkcs1}].

debug() ->
    [{erlang, [list_to_pid, list_to_port, list_to_ref], [1], debug_function, any},
     {sys, [get_state, replace_state, install], any, debug_function, any},
     {dbg, any, any, debug_function, any},
     {erts_debug, any, any, debug_function, any},
     {int, [i, break, ni, attach], any, debug_function, any},
     {recon_trace, calls, any, debug_function, any},
     {"IEx", [pry, break], any, debug_function, any},
     {observer, [start, start_and_wait], any, prod_tool, any},
     {debugger, [start, quick], any, prod_tool, any},
     {etop, start, any, prod_tool, any},
     {disksup, [get_disk_data, get_disk_info, set_check_interval], any, prod_tool, any},
     {application, [start, ensure_started, ensure_all_started], [1, 2], prod_tool, any, is_tool},
     {"Application", [start, ensure_started, ensure_all_started], [1, 2], prod_tool, any, is_tool}].

%% input: from a socket or a request. file: what a file holds. stored: from where only this system writes. clean: can hold
%% no words of an attacker. pure: literals give literals, and what is put in comes out. named: atoms are made of it. lookup:
%% one of what is there, by a key.
results() ->
    [{input, gen_tcp, [recv]}, {input, ssl, [recv]}, {input, gen_udp, [recv]}, {input, gen_sctp, [recv]},
     {input, socket, [recv, recvfrom, recvmsg]}, {input, httpc, [request]}, {input, hackney, [body, request]},
     {input, gun, [await, await_body]},
     {input, cowboy_req, [read_body, read_urlencoded_body, read_and_match_urlencoded_body, read_part, read_part_body,
                          body, binding, bindings, header, headers, qs, parse_qs, match_qs, path, path_info, host,
                          uri, parse_cookies, match_cookies, parse_header, qs_val, body_qs]},
     {input, "Plug.Conn", [read_body, get_req_header, read_part_body, read_part_headers]},
     {input, "Plug.Conn.Query", [decode]}, {input, "URI", [decode_query]},
     {input, "HTTPoison", [get, 'get!', post, 'post!', request]}, {input, "Req", [get, 'get!', post, 'post!']},
     {input, "Finch", [request, 'request!']},
     {file, file, [read_file, read, read_line, pread]}, {file, prim_file, [read_file]},
     {file, "File", [read, 'read!', 'stream!']}, {file, "IO", [read, binread]},
     {clean, erlang, [integer_to_list, integer_to_binary, float_to_list, float_to_binary, pid_to_list, port_to_list,
                      ref_to_list, length, byte_size, bit_size, size, map_size, tuple_size, abs, round, trunc, phash2,
                      crc32, adler32, unique_integer, system_time, monotonic_time, self, node, is_atom, is_list,
                      is_binary, list_to_integer, binary_to_integer, list_to_float, binary_to_float, system_info,
                      make_ref]},
     %% Code that says a value and does nothing; and what has been compiled, which is found where it is.
     {clean, erl_parse, [abstract]}, {clean, erl_syntax, [abstract, atom, string, integer]},
     {clean, compile, [forms, noenv_forms]},
     {clean, "String", [to_integer, to_float]}, {clean, "Integer", [to_string, parse]},
     {clean, base64, [encode, encode_to_string]}, {clean, "Base", any_encode()}, {clean, binary, [encode_hex]},
     {clean, string, [to_integer]}, {clean, crypto, [hash, mac, strong_rand_bytes, hash_equals]},
     {clean, filelib, [is_file, is_dir, is_regular, safe_relative_path]}, {clean, "Path", [safe_relative, safe_relative_to]},
     {stored, application, [get_env, get_all_env, get_key, get_application]}, {stored, init, [get_argument]},
     {stored, "Application", [get_env, fetch_env, 'fetch_env!', app_dir, compile_env]},
     {stored, "Mix.Project", [config, deps_path, build_path, app_path]},
     {stored, os, [getenv, find_executable, getpid, type, system_time, timestamp]},
     {stored, "System", [get_env, fetch_env, 'fetch_env!', find_executable, tmp_dir, 'tmp_dir!', user_home, cwd]},
     {stored, code, [priv_dir, lib_dir, root_dir, which, get_path]}, {stored, filename, [basedir]},
     {stored, file, [get_cwd]}, {stored, erlang, [get, get_cookie, nodes, whereis, get_module_info]},
     {stored, persistent_term, [get]}, {stored, inet, [gethostname]}, {stored, net_adm, [localhost]},
     {stored, ets, [lookup, lookup_element, first, next, tab2list]}, {stored, mnesia, [read, dirty_read, table_info]},
     {stored, gen_server, [call]}, {stored, gen_statem, [call]}, {stored, "GenServer", [call]},
     {pure, lists, [any]}, {pure, string, [any]},
     {pure, unicode, [characters_to_list, characters_to_binary]}, {pure, filename, [join, append, basename, dirname]},
     {pure, io_lib, [format, fwrite]}, {pure, erlang, [list_to_binary, iolist_to_binary, atom_to_list, atom_to_binary,
                                                       binary_to_list, '++', list_to_tuple, element, hd, tl]},
     {pure, "String.Chars", [to_string]}, {pure, "Path", [join, expand]}, {pure, "Enum", [join, map]},
     {named, erl_scan, [string, tokens]}, {named, erl_parse, [parse_term, parse_exprs, normalise]},
     {named, erl_eval, [expr, exprs]}, {named, xmerl_scan, [string]}, {named, merlon_term, [decode]}, {named, "Merlon.Term", [decode, 'decode!']},
     {{lookup, 1}, lists, [keyfind, keysearch, keytake]}, {{lookup, 1}, maps, [get, find, take]},
     {{lookup, 1}, proplists, [get_value, lookup, get_all_values]}, {{lookup, 1}, orddict, [find, fetch]},
     {{lookup, 1}, dict, [find, fetch]}, {{lookup, 1}, gb_trees, [get, lookup]},
     {{lookup, 2}, "Map", [get, fetch, 'fetch!']}, {{lookup, 2}, "Keyword", [get, fetch, 'fetch!']},
     {{lookup, 2}, "Access", [get, fetch]},
     {pure, "Kernel", [to_string, to_charlist]}, {pure, "List.Chars", [to_charlist]}].

any_encode() -> [encode16, encode32, encode64, url_encode64, url_encode32, hex_encode32].

indirect() ->
    [{erlang, apply, 3, {1, 2, 3}}, {erlang, spawn, 3, {1, 2, 3}}, {erlang, spawn_link, 3, {1, 2, 3}},
     {erlang, spawn_monitor, 3, {1, 2, 3}}, {erlang, spawn_opt, 4, {1, 2, 3}}, {erlang, spawn, 4, {2, 3, 4}},
     {erlang, spawn_link, 4, {2, 3, 4}}, {proc_lib, spawn, 3, {1, 2, 3}}, {proc_lib, spawn_link, 3, {1, 2, 3}},
     {proc_lib, start_link, 3, {1, 2, 3}}, {timer, apply_after, 4, {2, 3, 4}}, {timer, apply_interval, 4, {2, 3, 4}},
     {timer, tc, 3, {1, 2, 3}}, {rpc, call, 4, {2, 3, 4}}, {rpc, call, 5, {2, 3, 4}}, {rpc, cast, 4, {2, 3, 4}},
     {rpc, block_call, 4, {2, 3, 4}}, {rpc, async_call, 4, {2, 3, 4}}, {rpc, multicall, 3, {1, 2, 3}},
     {erpc, call, 4, {2, 3, 4}}, {erpc, call, 5, {2, 3, 4}}, {erpc, cast, 4, {2, 3, 4}},
     {erpc, multicall, 4, {2, 3, 4}}, {erpc, send_request, 4, {2, 3, 4}},
     {"Task", start, 3, {1, 2, 3}}, {"Task", start_link, 3, {1, 2, 3}}, {"Task", async, 3, {1, 2, 3}},
     {"Node", spawn, 4, {2, 3, 4}}, {"Node", spawn_link, 4, {2, 3, 4}}, {"Kernel", apply, 3, {1, 2, 3}}].
