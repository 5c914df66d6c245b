defmodule Merlon.MixProject do
  use Mix.Project

  # One source for the application's metadata, whoever builds.
  {:ok, [{:application, :merlon, app}]} =
    :file.consult(Path.join(__DIR__, "erlang_src/merlon.app.src"))

  @app app

  def project do
    [
      app: :merlon,
      version: to_string(@app[:vsn]),
      elixir: "~> 1.14",
      description: to_string(@app[:description]),
      compilers: [:merlon_nif | Mix.compilers()],
      erlc_paths: ["erlang_src"],
      # Strict here, but not for those who depend on us (in :prod) with newer versions.
      erlc_options: [:debug_info] ++ if(strict?(), do: [:warnings_as_errors], else: []),
      elixirc_paths: ["elixir_lib"],
      elixirc_options: elixirc_options(),
      xref: xref(),
      test_paths: ["test/elixir"],
      deps: [],
      name: "Merlon",
      package: package(),
      docs: docs()
    ]
  end

  defp strict?, do: Mix.env() != :prod

  # Templates are audited by who has Elixir, and so EEx. From 1.20 on that is an option of the compiler.
  @without [EEx, EEx.SyntaxError]
  if Version.match?(System.version(), ">= 1.20.0-dev") do
    defp elixirc_options, do: [warnings_as_errors: strict?(), no_warn_undefined: @without]
    defp xref, do: []
  else
    defp elixirc_options, do: [warnings_as_errors: strict?()]
    defp xref, do: [exclude: @without]
  end

  def application do
    [
      mod: @app[:mod],
      registered: @app[:registered],
      env: @app[:env],
      extra_applications: @app[:applications] -- [:kernel, :stdlib]
    ]
  end

  defp package do
    [
      licenses: Enum.map(@app[:licenses], &to_string/1),
      links: Map.new(@app[:links], fn {name, url} -> {to_string(name), to_string(url)} end),
      build_tools: ["mix", "rebar3"],
      files: files()
    ]
  end

  # What a build from source needs, the commands, and what people look for first. Of the crates their
  # sources alone: cargo wants every member of the workspace, but no tests.
  defp files do
    ~w(mix.exs rebar.config Cargo.toml Cargo.lock native/build.escript native/checksums.txt) ++
      ~w(erlang_src elixir_lib bin/merlon README.md CHANGELOG.md LICENSE) ++
      Enum.flat_map(crates(), &[&1 <> "/Cargo.toml", &1 <> "/src"])
  end

  defp crates do
    workspace = File.read!(Path.join(__DIR__, "Cargo.toml"))
    [members] = Regex.run(~r/^members = \[(.*?)^\]/ms, workspace, capture: :all_but_first)
    ~r/"(.+?)"/ |> Regex.scan(members, capture: :all_but_first) |> List.flatten()
  end

  # For `mix docs`, where ex_doc is.
  defp docs do
    [
      main: "readme",
      extras:
        ~w(README.md CHANGELOG.md SECURITY.md CONTRIBUTING.md MAINTENANCE.md LICENSE) ++
          Path.wildcard("docs/**/*.md") ++
          Enum.map(~w(phoenix_cluster rebar3_release), &example/1),
      groups_for_extras: [
        Guides: ~r"^docs/guides/",
        Examples: ~r"^examples/",
        Internals: ~r"^docs/[^/]+$"
      ],
      nest_modules_by_prefix: [Merlon]
    ]
  end

  # Each is called README.md, which is the name of one page only.
  defp example(name), do: {"examples/#{name}/README.md", filename: "example-#{name}"}
end

defmodule Mix.Tasks.Compile.MerlonNif do
  @moduledoc "Builds the Rust core with native/build.escript, as rebar3 and make do."
  @shortdoc "Builds merlon's Rust core"

  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    # Elixir's own escript is not on the PATH everywhere; Erlang's is beside erl.
    escript =
      System.find_executable("escript") || Mix.raise("escript is not in PATH: install Erlang")

    builder = Path.join(__DIR__, "native/build.escript")

    case System.cmd(escript, [builder], into: IO.stream(:stdio, :line)) do
      {_, 0} -> linked()
      {_, status} -> Mix.raise("the Rust core could not be built (status #{status})")
    end
  end

  # priv/ may not have existed when mix made the build folder.
  defp linked do
    Mix.Project.build_structure()
    :ok
  end
end
