# SPDX-License-Identifier: Apache-2.0
# Corpus of the audit: what `#!` says at a line's end is what must be found there, and nothing else.
defmodule Corpus.Terms do
  alias :erlang, as: E
  @options [:used]

  def unsafe_term(bin), do: :erlang.binary_to_term(bin) #! unsafe_term high

  def unsafe_term_near(bin), do: {:binary_to_term, bin, "binary_to_term(bin)", :erlang.term_to_binary(bin)}

  def unsafe_term_tricky(bin, bins) do
    a = bin |> :erlang.binary_to_term() #! unsafe_term high
    b = Enum.map(bins, &:erlang.binary_to_term/1) #! unsafe_term high
    c = apply(:erlang, :binary_to_term, [bin]) #! unsafe_term high
    d = E.binary_to_term(bin, @options) #! unsafe_term high
    e = Enum.map(bins, &:erlang.binary_to_term(&1, [:used])) #! unsafe_term high
    m = :erlang
    f = m.binary_to_term(bin) #! unsafe_term high
    {a, b, c, d, e, f}
  end

  def call(conn, _opts) do
    {:ok, body, conn} = Plug.Conn.read_body(conn)
    {load(body), conn}
  end

  # Only this module calls it, with what came in a request.
  defp load(body), do: :erlang.binary_to_term(body) #! unsafe_term critical

  def handle_info({:tcp, _socket, data}, state), do: {:noreply, {state, :erlang.binary_to_term(data)}} #! unsafe_term critical

  def executable_term(bin), do: :erlang.binary_to_term(bin, [:safe]) #! executable_term low

  def zip_bomb(bin), do: :zlib.gunzip(bin) #! zip_bomb medium

  def public_secret, do: :ets.new(:api_keys, [:public, :set]) #! public_secret medium

  def public_secret_near, do: {:ets.new(:api_keys, [:set]), :ets.new(:hits, [:public])}
end

defmodule Corpus.Atoms do
  def dynamic_atom(name), do: String.to_atom(name) #! dynamic_atom medium

  def dynamic_atom_words(name), do: {~w(mode_#{name} b)a, ~w(near far)a} #! dynamic_atom medium

  def dynamic_atom_near(name), do: {String.to_existing_atom(name), Atom.to_string(:near), to_string(name)}

  def dynamic_atom_tricky(name, names) do
    a = :"user_#{name}" #! dynamic_atom medium
    b = Enum.map(names, &String.to_atom/1) #! dynamic_atom medium
    c = Module.concat(Corpus, name) #! dynamic_atom medium
    d = for n <- names, do: String.to_atom(n) #! dynamic_atom medium
    e = name |> String.trim() |> String.to_atom() #! dynamic_atom medium
    f = Jason.decode!(name, keys: :atoms) #! dynamic_atom medium
    {a, b, c, d, e, f, Jason.decode!(name, keys: :atoms!)}
  end

  def dynamic_atom_poison(json), do: json |> Poison.decode!(%{keys: :atoms}) #! dynamic_atom medium

  def dynamic_atom_poison_near(json), do: Poison.decode!(json, %{keys: :atoms!})

  # A controller's action: params are what the client has sent.
  def show(conn, %{"sort" => sort}), do: {conn, String.to_atom(sort)} #! dynamic_atom high

  def list(conn, params) do
    field = params["field"]
    {conn.assigns, String.to_atom(field)} #! dynamic_atom high
  end

  def query(conn), do: String.to_atom(conn.query_params["q"]) #! dynamic_atom high

  def handle_event("sort", %{"by" => by}, socket), do: {:noreply, {socket, String.to_atom(by)}} #! dynamic_atom high

  def literal, do: String.to_atom("literal") #! dynamic_atom note
end

defmodule Corpus.Commands do
  import System, only: [shell: 1]

  def os_command(name), do: :os.cmd(~c"rm #{name}") #! os_command high

  def os_command_near(name), do: System.cmd("rm", [name])

  def os_command_tricky(name) do
    a = System.cmd("sh", ["-c", "rm " <> name]) #! os_command high
    b = shell("rm #{name}") #! os_command high
    c = name |> to_charlist() |> :os.cmd() #! os_command high
    {a, b, c}
  end

  def open_port(name), do: Port.open({:spawn, "gzip #{name}"}, [:binary]) #! open_port high

  def open_port_near(name), do: Port.open({:spawn_executable, "/bin/gzip"}, args: [name])

  def os_command_elixir(name), do: Elixir.System.shell("rm #{name}") #! os_command high

  def program_choice(path), do: System.cmd(path, []) #! program_choice low

  def eval(text), do: Code.eval_string(text) #! eval high

  def eval_other(module, quoted, file) do
    Module.eval_quoted(module, quoted) #! eval high
    Module.create(Corpus.Made, quoted, []) #! eval high
    Config.Reader.read!(file) #! eval high
    :code.load_abs(file) #! eval high
  end

  defdelegate eval_delegated(text), to: Code, as: :eval_string #! eval high

  def eval_near(text), do: {Code.format_string!(text), EEx.SmartEngine}

  def eval_tricky(text, names) do
    a = EEx.eval_string(text, names: names) #! eval high
    b = Enum.each(names, &Code.compile_string/1) #! eval high
    {a, b}
  end

  def dynamic_call(conn, %{"module" => module}) do
    {conn, String.to_existing_atom(module).run()} #! dynamic_call critical
  end

  def dynamic_call_near(module, args), do: module.run(args)
end

defmodule Corpus.Nodes do
  @cookie :monster

  def remote_node(node), do: :erpc.call(node, Corpus.Atoms, :literal, []) #! remote_node low

  def remote_node_near, do: {Node.list(), spawn(fn -> :ok end)}

  def remote_node_tricky(node), do: Node.spawn(node, fn -> :ok end) #! remote_node low

  def dial(node), do: Node.connect(node) #! dial low

  def dial_near(node), do: node in Node.list()

  def dial_tricky(nodes), do: Enum.map(nodes, &Node.ping/1) #! dial low

  def cookie_literal, do: Node.set_cookie(@cookie) #! cookie_literal high

  def cookie_literal_near(cookie), do: Node.set_cookie(cookie)

  def global_name(name), do: :global.register_name({:user, name}, self()) #! global_name low

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

  def tls_versions, do: [versions: [:tlsv1, :"tlsv1.2"]] #! tls_versions medium

  def tls_keep_secrets, do: [keep_secrets: true] #! tls_keep_secrets high

  def weak_kdf(password), do: :crypto.hash(:sha256, password) #! weak_kdf medium

  def weak_kdf_near(data), do: :crypto.hash(:sha256, data)

  def timing_compare(given, secret), do: given == secret #! timing_compare low

  def timing_compare_near(given, secret), do: {secret == nil, Plug.Crypto.secure_compare(given, secret)}

  def timing_compare_field(user, given), do: {user.secret == given, user.kind == given} #! timing_compare low

  def timing_compare_tricky(key, data, given) do
    if :crypto.mac(:hmac, :sha256, key, data) != given, do: :refused, else: :ok #! timing_compare low
  end

  def debug_function(pid), do: :sys.get_state(pid) #! debug_function low

  def prod_tool, do: :observer.start() #! prod_tool low
end
