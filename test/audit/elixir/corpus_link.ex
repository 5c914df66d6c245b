# SPDX-License-Identifier: Apache-2.0
# Corpus of the audit: what `#!` says at a line's end is what must be found there, and nothing else.
defmodule Corpus.Nodes do
  @cookie :monster

  def remote_node(node), do: :erpc.call(node, Corpus.Atoms, :literal, []) #! remote_node low

  def remote_node_near, do: {Node.list(), spawn(fn -> :ok end)}

  def remote_node_tricky(node), do: Node.spawn(node, fn -> :ok end) #! remote_node low

  # A controller's action: params are what the client has sent.
  def remote_node_input(conn, %{"node" => node}), do: {conn, Node.spawn(String.to_existing_atom(node), fn -> :ok end)} #! remote_node critical

  def dial_input(conn, %{"node" => node}), do: {conn, Node.connect(String.to_existing_atom(node))} #! dial critical

  def dial(node), do: Node.connect(node) #! dial low

  def dial_near(node), do: node in Node.list()

  def dial_tricky(nodes), do: Enum.map(nodes, &Node.ping/1) #! dial low

  def cookie_literal, do: Node.set_cookie(@cookie) #! cookie_literal high

  def cookie_literal_near(cookie), do: Node.set_cookie(cookie)

  def cookie_literal_tricky(node) do
    text = "mon" <> "ster"
    :erlang.set_cookie(node, String.to_atom(text)) #! cookie_literal high, dynamic_atom note
  end

  def global_name(name), do: :global.register_name({:user, name}, self()) #! global_name low

  def global_name_near, do: {:global.whereis_name(:shop), Process.register(self(), :shop)}

  def global_name_tricky(name), do: name |> :global.re_register_name(self()) #! global_name low

  def global_resolver do
    :global.register_name(:shop, self(), fn _, a, _ -> a end) #! global_resolver low, global_name note
  end

  def global_resolver_near do
    :global.register_name(:shop, self(), &:global.random_notify_name/3) #! global_name note
  end

  def global_resolver_tricky(name) do
    resolve = {__MODULE__, :resolve}
    :global.re_register_name(name, self(), resolve) #! global_resolver low, global_name low
  end

  def gossip, do: [shop: [strategy: Cluster.Strategy.Gossip, config: [port: 45_892]]] #! gossip high

  def gossip_near, do: [shop: [strategy: Cluster.Strategy.Epmd, config: [hosts: [:"a@db1"]]]]

  def gossip_secret(secret), do: [strategy: Cluster.Strategy.Gossip, config: [secret: secret]]

  def gossip_tricky do
    alias Cluster.Strategy.Gossip, as: Finder
    topologies = [strategy: Finder, config: [secret: nil]] #! gossip high
    [shop: topologies]
  end

  def dns_discovery, do: [strategy: Cluster.Strategy.DNSPoll, config: [query: "shop.internal"]] #! dns_discovery medium

  def dns_discovery_near(strategy), do: [strategy: strategy, name: "Cluster.Strategy.DNSPoll"]

  def dns_discovery_tricky do
    strategy = Cluster.Strategy.Kubernetes.DNS
    [config: [service: "shop"], strategy: strategy] #! dns_discovery medium
  end
end

defmodule Corpus.Link do
  def tls_verify_none(host), do: :ssl.connect(host, 443, verify: :verify_none, versions: [:"tlsv1.3"]) #! tls_verify_none high

  def tls_verify_none_near(host), do: {host, :verify_none, verify: :verify_peer}

  def tls_verify_none_tricky(host) do
    verify = :verify_none
    options = [verify: verify, versions: [:"tlsv1.3"]] #! tls_verify_none high
    :ssl.connect(host, 443, options)
  end

  def insecure(url) do
    HTTPoison.get!(url, [], hackney: [:insecure, pool: :shop]) #! tls_verify_none high
  end

  def insecure_near(url), do: HTTPoison.get!(url, [], hackney: [pool: :insecure_too])

  # A fun in a map is called by whoever has the map.
  def handlers, do: %{convert: fn name -> :os.cmd(~c"convert " ++ name) end} #! os_command high

  def tls_client_cert(port) do
    options = [verify: :verify_peer, versions: [:"tlsv1.3"]]
    :ssl.listen(port, options) #! tls_client_cert medium
  end

  def tls_client_cert_near(port, more) do
    strict = [verify: :verify_peer, fail_if_no_peer_cert: true, versions: [:"tlsv1.3"]]
    {:ssl.listen(port, strict), :ssl.listen(port, [{:verify, :verify_peer} | more])}
  end

  def tls_client_cert_tricky(port) do
    verify = [verify: :verify_peer, fail_if_no_peer_cert: false]
    :ssl.listen(port, verify ++ [versions: [:"tlsv1.3"]]) #! tls_client_cert medium
  end

  def tls_versions, do: [versions: [:tlsv1, :"tlsv1.2"]] #! tls_versions medium

  def tls_versions_near, do: [versions: [:"tlsv1.2", :"tlsv1.3"], vsn: :tlsv1]

  def tls_versions_tricky(port) do
    versions = [:tlsv1]
    :ssl.listen(port, versions: versions) #! tls_versions medium
  end

  def tls_no_versions(port), do: :ssl.listen(port, certfile: "cert.pem") #! tls_no_versions note

  def tls_no_versions_near(port, options) do
    {:ssl.listen(port, versions: [:"tlsv1.3"]), :ssl.listen(port, options)}
  end

  def tls_no_versions_tricky(host) do
    options = [verify: :verify_peer]
    :ssl.connect(host, 443, options, 5000) #! tls_no_versions note
  end

  def tls_ciphers, do: [ciphers: ["ECDHE-RSA-AES128-GCM-SHA256", "RC4-SHA"]] #! tls_ciphers medium

  def tls_ciphers_near, do: [ciphers: ["ECDHE-RSA-AES128-GCM-SHA256"], names: ["RC4-SHA"]]

  def tls_ciphers_tricky, do: :ssl.cipher_suites(:anonymous, :"tlsv1.2") #! tls_ciphers medium

  def tls_keep_secrets, do: [keep_secrets: true] #! tls_keep_secrets high

  def tls_keep_secrets_near, do: [keep_secrets: false, keep: :keep_secrets]

  def tls_keep_secrets_tricky(rest) do
    keep = true
    [{:keep_secrets, keep} | rest] #! tls_keep_secrets high
  end

  def weak_kdf(password), do: :crypto.hash(:sha256, password) #! weak_kdf medium

  def weak_kdf_near(data), do: :crypto.hash(:sha256, data)

  def weak_kdf_tricky(user_password, salt) do
    :crypto.pbkdf2_hmac(:sha256, user_password, salt, 1000, 32) #! weak_kdf medium
  end

  def timing_compare(given, secret), do: given == secret #! timing_compare low

  def timing_compare_near(given, secret), do: {secret == nil, Plug.Crypto.secure_compare(given, secret)}

  def timing_compare_field(user, given), do: {user.secret == given, user.kind == given} #! timing_compare low

  def timing_compare_tricky(key, data, given) do
    if :crypto.mac(:hmac, :sha256, key, data) != given, do: :refused, else: :ok #! timing_compare low
  end

  def unsafe_function, do: :crypto.rand_uniform(1, 100) #! unsafe_function low

  def unsafe_function_near, do: {:rand.uniform(100), :crypto.strong_rand_bytes(16)}

  def unsafe_function_tricky(urls), do: Enum.map(urls, &:http_uri.parse/1) #! unsafe_function low

  def rsa_padding(data, key), do: :public_key.encrypt_public(data, key) #! rsa_padding medium

  def rsa_padding_near(data, key) do
    :public_key.encrypt_public(data, key, rsa_padding: :rsa_pkcs1_oaep_padding)
  end

  def rsa_padding_tricky(data, key) do
    padding = :rsa_pkcs1_padding
    :crypto.private_decrypt(:rsa, data, key, padding) #! rsa_padding medium
  end

  def debug_function(pid), do: :sys.get_state(pid) #! debug_function low

  def debug_function_near(pid), do: {:sys.suspend(pid), :erlang.pid_to_list(pid)}

  def debug_function_tricky, do: apply(:dbg, :tracer, []) #! debug_function low

  def prod_tool, do: :observer.start() #! prod_tool low

  def prod_tool_application, do: [extra_applications: [:logger, :observer]] #! prod_tool low

  def prod_tool_near, do: {Application.ensure_all_started(:ssl), :observer}

  def prod_tool_tricky do
    app = :debugger
    Application.start(app) #! prod_tool low
  end
end
