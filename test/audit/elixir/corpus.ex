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

  def executable_term_near(bin), do: Merlon.Term.decode(bin)

  def executable_term_tricky(bin) do
    options = [:safe]
    bin |> :erlang.binary_to_term(options) #! executable_term low
  end

  def zip_bomb(bin), do: :zlib.gunzip(bin) #! zip_bomb medium

  def zip_bomb_near(bin), do: {:zlib.gzip(bin), :zlib.safeInflate(:zlib.open(), bin)}

  def zip_bomb_tricky(conn) do
    {:ok, body, _conn} = Plug.Conn.read_body(conn)
    body |> :zlib.uncompress() #! zip_bomb high
  end

  def term_store(file), do: :ets.file2tab(file) #! term_store medium

  def term_store_near, do: :ets.tab2file(:corpus, ~c"corpus.tab")

  def term_store_tricky(file), do: apply(:dets, :open_file, [file]) #! term_store medium

  def consult(path), do: :file.consult(path) #! consult medium

  def consult_near(path), do: File.read!(path)

  def consult_tricky(path), do: path |> String.to_charlist() |> :file.consult() #! consult medium

  def xml_atoms(xml), do: :xmerl_scan.string(xml) #! xml_atoms medium

  def xml_atoms_near(xml), do: :xmerl.export_simple(xml, :xmerl_xml)

  def xml_atoms_tricky(xml), do: apply(:xmerl_scan, :string, [xml, [quiet: true]]) #! xml_atoms medium

  def xml_entities(xml), do: :xmerl_sax_parser.stream(xml, []) #! xml_entities medium

  def xml_entities_near(xml), do: :xmerl_sax_parser.stream(xml, [:disallow_entities])

  def xml_entities_tricky(xml) do
    options = [event_state: []]
    :xmerl_sax_parser.stream(xml, options) #! xml_entities medium
  end

  def match_spec(conn, table) do
    {:ok, key, _conn} = Plug.Conn.read_body(conn)
    :ets.match(table, {key, :"$1"}) #! match_spec medium
  end

  def match_spec_near(table, key), do: {:ets.lookup(table, key), :ets.match(table, {key, :"$1"})}

  def match_spec_tricky(socket, table) do
    {:ok, key} = :gen_tcp.recv(socket, 0)
    pattern = {key, :_}
    table |> :ets.match_delete(pattern) #! match_spec medium
  end

  def public_secret, do: :ets.new(:api_keys, [:public, :set]) #! public_secret medium

  def public_secret_near, do: {:ets.new(:api_keys, [:set]), :ets.new(:hits, [:public])}

  def public_secret_tricky do
    options = [:set, :public]
    name = :session_cache
    :ets.new(name, options) #! public_secret medium
  end
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

  # A controller's action: params are what the client has sent.
  def os_command_input(conn, %{"name" => name}), do: {conn, System.shell(name)} #! os_command critical

  def eval_input(conn, %{"text" => text}), do: {conn, EEx.eval_string(text)} #! eval critical

  def open_port_input(conn, %{"line" => line}), do: {conn, Port.open({:spawn, line}, [:binary])} #! open_port critical

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

  def open_port_tricky(name) do
    how = {:spawn, name}
    how |> Port.open([:binary]) #! open_port high
  end

  def os_command_elixir(name), do: Elixir.System.shell("rm #{name}") #! os_command high

  def program_choice(path), do: System.cmd(path, []) #! program_choice low

  def program_choice_near(name), do: System.cmd(System.find_executable("gzip"), [name])

  def program_choice_tricky(conn, %{"tool" => tool}) do
    {conn, apply(System, :cmd, [tool, []])} #! program_choice critical
  end

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

  # Input chooses among what is there.
  def dynamic_call_near_table(conn, %{"sort" => sort}) do
    module = Map.get(%{"name" => Corpus.Atoms}, sort)
    {conn, module.literal()}
  end

  def dynamic_call_tricky(conn, params) do
    {module, function} = {Corpus.Atoms, String.to_existing_atom(params["do"])}
    apply(module, function, [conn]) #! dynamic_call critical
  end

  def native_code(path), do: :erlang.load_nif(path, 0) #! native_code medium

  def native_code_near do
    :erlang.load_nif(:filename.join(:code.priv_dir(:corpus), ~c"nif"), 0) #! native_code note
  end

  def native_code_tricky(path), do: apply(:erl_ddll, :load_driver, [path, ~c"drv"]) #! native_code medium
end
