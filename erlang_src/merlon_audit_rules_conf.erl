%% SPDX-License-Identifier: Apache-2.0
%% Rows of merlon_audit_rules about how a node is configured and started.
-module(merlon_audit_rules_conf).

-export([rows/0]).

-define(OTP, <<"https://www.erlang.org/doc/system/secure_coding.html">>).
-define(DISTRIBUTION, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/distribution">>).
-define(CRASH, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/crash_dumps">>).
-define(TLS, <<"https://www.erlang.org/doc/apps/ssl/ssl_distribution.html">>).
-define(ERL, <<"https://www.erlang.org/doc/apps/erts/erl_cmd.html">>).

-spec rows() -> [merlon_audit_rules:row()].
rows() ->
    [#{id => plain_dist, otp => <<"DEP-001">>, cwe => 319, severity => high,
       title => <<"A node that speaks plain TCP">>,
       why => <<"Whoever is on the way reads and changes all messages between nodes, and takes the cookie's digest along.">>,
       fix => <<"Give the node a carrier (merlon init makes what it needs):\n"
                "    -proto_dist merlon\n"
                "or, for a node alone, no distribution: RELEASE_DISTRIBUTION=none, or\n"
                "    -kernel inet_dist_use_interface {127,0,0,1}">>,
       refs => [?DISTRIBUTION, ?OTP]},
     #{id => proto_dist_twice, otp => <<"DEP-001">>, cwe => 319, severity => critical,
       title => <<"-proto_dist is given more than once">>,
       why => <<"OTP looks for one value; of two it takes neither, says nothing and listens with plain TCP.">>,
       fix => <<"Give it in one place, for example in vm.args alone:\n"
                "    -proto_dist merlon\n"
                "and take it out of ERL_FLAGS, ERL_AFLAGS, ERL_ZFLAGS and ELIXIR_ERL_OPTIONS.">>,
       refs => [?TLS]},
     #{id => dist_flags, otp => <<"DEP-001">>, cwe => 1188, severity => high,
       title => <<"Carrier and TLS options that do not fit">>,
       why => <<"Options for TLS without -proto_dist inet_tls are ignored, and the distribution is plain; a carrier "
                "without options, or only on one side, makes no link.">>,
       fix => <<"Both, or neither, in vm.args and in remote.vm.args:\n"
                "    -proto_dist inet_tls\n"
                "    -ssl_dist_optfile /etc/my_app/ssl_dist.conf\n"
                "merlon needs no options there:\n"
                "    -proto_dist merlon">>,
       refs => [?TLS]},
     #{id => dist_interface, otp => <<"DEP-001">>, cwe => 1327, severity => low,
       title => <<"The distribution listens on all addresses">>,
       why => <<"Networks that no node is in reach the port too, the Internet maybe.">>,
       fix => <<"    -kernel inet_dist_use_interface {10,0,0,5}      % in vm.args\n"
                "or in sys.config: {kernel, [{inet_dist_use_interface, {10,0,0,5}}]}; merlon: {listen, ...} in "
                "merlon.config.">>,
       refs => [?DISTRIBUTION]},
     #{id => epmd_open, otp => <<"DEP-001">>, cwe => 1327, severity => medium,
       title => <<"epmd or a distribution port is open to others">>,
       why => <<"epmd tells anyone which nodes there are and where, and lets anyone on the host register names.">>,
       fix => <<"    ERL_EPMD_ADDRESS=127.0.0.1,10.0.0.5      # loopback is always among them\n"
                "do not publish 4369; or no epmd at all:\n"
                "    -epmd_module merlon_epmd">>,
       refs => [?DISTRIBUTION, <<"https://www.erlang.org/doc/apps/erts/epmd_cmd.html">>]},
     #{id => cookie_argv, otp => <<"MSC-004">>, cwe => 214, severity => medium,
       title => <<"A cookie on the command line">>,
       why => <<"All users of a host see the arguments of all processes (ps), as do monitoring and logs.">>,
       fix => <<"Leave it to a file of mode 0400 (~/.erlang.cookie), or let merlon derive secrets from a keyring, so "
                "that there is no cookie worth stealing.">>,
       refs => [?DISTRIBUTION, <<"https://github.com/erlware/relx/issues/803">>]},
     #{id => cookie_env, otp => <<"MSC-004">>, cwe => 526, severity => low,
       title => <<"A cookie in the environment">>,
       why => <<"Every program that the node starts inherits it, and the start script of a release puts it on the "
                "command line.">>,
       fix => <<"Mount it as a file of mode 0400, or let merlon derive secrets from a keyring (merlon keyring).">>,
       refs => [?DISTRIBUTION, <<"https://hexdocs.pm/mix/Mix.Tasks.Release.html">>]},
     #{id => cookie_weak, otp => <<"DEP-001">>, cwe => 521, severity => critical,
       title => <<"A cookie that is guessed">>,
       why => <<"One captured handshake, or a node that can be made to dial, gives a digest to search with; the cookie is "
                "the right to run anything on all nodes.">>,
       fix => <<"    head -c 32 /dev/urandom | base64 | tr -d '=+/\\n'\n"
                "and -proto_dist merlon, where the cookie is worth nothing alone. What it is worth: merlon cookie FILE">>,
       refs => [?DISTRIBUTION, <<"https://github.com/gteissier/erl-matter">>]},
     #{id => interactive_mode, otp => <<"DEP-005">>, cwe => 427, severity => medium,
       title => <<"Code is loaded when it is called">>,
       why => <<"In interactive mode a module is looked for in the code path at its first call: whoever can write there "
                "chooses what runs, and faults come late.">>,
       fix => <<"    RELEASE_MODE=embedded            # releases of mix: the default\n"
                "    {relx, [{mode, prod}]}           % rebar3\n"
                "    -mode embedded                   % vm.args">>,
       refs => [?OTP, ?ERL]},
     #{id => crash_dump, otp => <<"MSC-004">>, cwe => 528, severity => medium,
       title => <<"A crash dump where others find it">>,
       why => <<"It has the memory of all processes: cookies, keys, requests, passwords.">>,
       fix => <<"    ERL_CRASH_DUMP=/var/lib/my_app/erl_crash.dump      # a folder of mode 0700\n"
                "    ERL_CRASH_DUMP_SECONDS=0                           # none at all\n"
                "and take dumps out of images and repositories.">>,
       refs => [?CRASH]},
     #{id => core_dump, otp => <<"MSC-004">>, cwe => 528, severity => low,
       title => <<"Core dumps are on">>,
       why => <<"A core file is the node's memory, with every key in it; nothing in the VM can keep secrets out of it.">>,
       fix => <<"    LimitCORE=0        # systemd\n"
                "    ulimit -c 0        # env.sh; in compose: ulimits: {core: 0}">>,
       refs => [?CRASH]},
     #{id => inetrc_dns, otp => <<"DEP-001">>, cwe => 350, severity => low,
       title => <<"Names of hosts are asked of DNS by OTP itself">>,
       why => <<"Its resolver keeps no secrets from who answers falsely: until OTP 28.4.2 the ids of queries could be "
                "guessed. The answer decides which host a node dials.">>,
       fix => <<"    {lookup, [file, native]}.      % the host's own resolver\n"
                "and a carrier that proves who answers: -proto_dist merlon">>,
       refs => [<<"https://www.erlang.org/doc/apps/erts/inet_cfg.html">>,
                <<"https://cna.erlef.org/cves/CVE-2026-28810.html">>]}].
