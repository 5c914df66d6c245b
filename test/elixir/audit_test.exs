defmodule Merlon.AuditTest do
  # Atoms are counted: nothing runs beside it.
  use ExUnit.Case, async: false

  @corpus Path.wildcard("test/audit/elixir/*.ex")

  setup do
    dir =
      Path.join(
        System.tmp_dir!(),
        "merlon-audit-#{System.pid()}-#{System.unique_integer([:positive])}"
      )

    File.mkdir_p!(Path.join(dir, "lib"))
    on_exit(fn -> File.rm_rf!(dir) end)
    %{dir: dir}
  end

  # What `#! RULE SEVERITY, ...` says at the end of lines.
  defp expected do
    for file <- @corpus,
        {line, number} <- file |> File.read!() |> String.split("\n") |> Enum.with_index(1),
        [_, marks] <- [Regex.run(~r/#! ([a-z_, ]+)$/, line)],
        mark <- String.split(marks, ", "),
        [rule, severity] <- [String.split(mark, " ")],
        do: {Path.basename(file), number, String.to_atom(rule), String.to_atom(severity)}
  end

  defp found(report) do
    for %{line: line, rule: rule, severity: severity} <- report.findings,
        do: {line, rule, severity}
  end

  # The same with the file's name.
  defp placed(report) do
    for %{file: file, line: line, rule: rule, severity: severity} <- report.findings,
        do: {Path.basename(file), line, rule, severity}
  end

  defp copied(dir) do
    for file <- @corpus do
      target = Path.join([dir, "lib", Path.basename(file)])
      File.cp!(file, target)
      target
    end
  end

  defp compile(dir, files) do
    before = Code.compiler_options()
    Code.put_compiler_option(:debug_info, true)
    ebin = Path.join(dir, "ebin")
    File.mkdir_p!(ebin)

    ExUnit.CaptureIO.capture_io(:stderr, fn ->
      {:ok, _, _} = Kernel.ParallelCompiler.compile_to_path(files, ebin)
    end)

    # Elixir 1.20 leaves it in the code path, where "merlon-audit-..." would be merlon's own folder.
    Code.delete_path(ebin)

    Code.put_compiler_option(:debug_info, before.debug_info)
  end

  test "sources give what the corpus says", %{dir: dir} do
    copied(dir)
    {:ok, report} = Merlon.Audit.scan([dir])
    assert report.scanned == %{beam: 0, source: 2, config: 0}
    assert length(expected()) > 100
    assert {expected() -- placed(report), placed(report) -- expected()} == {[], []}
  end

  test "BEAM files give what the corpus says", %{dir: dir} do
    compile(dir, copied(dir))
    {:ok, report} = Merlon.Audit.scan([dir])
    assert report.scanned == %{beam: 5, source: 0, config: 0}
    assert {expected() -- placed(report), placed(report) -- expected()} == {[], []}

    # Without Elixir's parser too: what is compiled needs none.
    {:ok, erlang} = :merlon_audit.scan([to_charlist(dir)], %{})
    assert erlang.findings == report.findings
  end

  test "a hostile source makes no atoms and runs no code", %{dir: dir} do
    names =
      Enum.map_join(
        1..5000,
        "\n",
        &"  def merlon_new_name_#{&1}(merlon_var_#{&1}), do: :merlon_atom_#{&1}"
      )

    proof = Path.join(dir, "ran")

    File.write!(Path.join(dir, "lib/evil.ex"), """
    defmodule MerlonEvil#{System.unique_integer([:positive])} do
      File.write!(#{inspect(proof)}, "ran")
      defmacro __using__(_), do: File.write!(#{inspect(proof)}, "ran")
    #{names}
      def found(x), do: :os.cmd(x)
    end
    """)

    # Loads what the audit needs.
    {:ok, _} = Merlon.Audit.scan(@corpus)
    before = :erlang.system_info(:atom_count)
    {:ok, report} = Merlon.Audit.scan([dir])
    assert [%{rule: :os_command}] = report.findings
    refute File.exists?(proof)
    assert :erlang.system_info(:atom_count) - before < 100
  end

  test "a source that is no Elixir is told and not passed over", %{dir: dir} do
    File.write!(Path.join(dir, "lib/broken.ex"), "defmodule A do\n  def f( do\n")
    {:ok, report} = Merlon.Audit.scan([dir])
    assert [{"lib/broken.ex", why}] = report.unscanned
    assert why =~ "no Elixir"
    assert {:error, %Merlon.Error{} = error} = Merlon.Audit.scan([Path.join(dir, "none")])
    assert Exception.message(error) =~ "does not exist"
  end

  test "comments allow findings in Elixir", %{dir: dir} do
    File.write!(Path.join(dir, "lib/a.ex"), """
    defmodule A do
      # merlon: allow os_command until 2999-01-01 because the caller is an operator
      def a(x), do: :os.cmd(x)
      def b(x), do: :os.cmd(x) # merlon: allow os_command until 2001-01-01 because it was so once
    end
    """)

    {:ok, report} = Merlon.Audit.scan([dir])
    assert [{4, :os_command, :high}, {4, :suppression, :medium}] = found(report)
    assert [%{line: 3}] = report.suppressed
  end

  test "templates are looked at when they are asked for", %{dir: dir} do
    File.write!(Path.join(dir, "lib/a.html.eex"), """
    <p>os.cmd(x)</p>
    <%= for name <- @names do %>
      <%= :os.cmd(name) %>
    <% end %>
    """)

    File.write!(Path.join(dir, "lib/b.html.heex"), """
    <style>p {color: red}</style>
    <p class={:erlang.binary_to_term(@class)}>{@text}</p>
    <script>let a = {b: 1}</script>
    """)

    File.write!(Path.join(dir, "lib/c.html.eex"), "<%= if x do %>\n")
    assert {:error, _} = Merlon.Audit.scan([dir])
    {:ok, report} = Merlon.Audit.scan([dir], templates: true)
    assert [{"lib/c.html.eex", why}] = report.unscanned
    assert why =~ "no template"

    assert [{"lib/a.html.eex", 3, :os_command}, {"lib/b.html.heex", 2, :unsafe_term}] =
             for(%{file: f, line: l, rule: r} <- report.findings, r != :unscanned, do: {f, l, r})
  end

  test "scripts in config are code, and mix.exs is both", %{dir: dir} do
    File.mkdir_p!(Path.join(dir, "config"))

    File.write!(Path.join(dir, "config/runtime.exs"), """
    import Config
    config :libcluster, topologies: [a: [strategy: Cluster.Strategy.Gossip, config: [port: 1]]]
    config :kernel, inet_dist_use_interface: {0, 0, 0, 0}
    """)

    File.write!(
      Path.join(dir, "mix.exs"),
      "[releases: [a: [cookie: \"monster\"]], a: :os.cmd(b)]\n"
    )

    {:ok, report} = Merlon.Audit.scan([dir])
    refute inspect(report.findings) =~ "monster"

    assert [
             {2, :gossip, :high},
             {3, :dist_interface, :low},
             {1, :cookie_literal, :high},
             {1, :cookie_weak, :critical},
             {1, :os_command, :low}
           ] = found(report)

    assert report.scanned == %{beam: 0, source: 2, config: 2}
  end

  test "the mix task has help and its exit codes", %{dir: dir} do
    import ExUnit.CaptureIO
    task = Mix.Tasks.Merlon.Audit
    assert is_binary(Mix.Task.shortdoc(task))
    assert capture_io(fn -> task.run(["--help"]) end) =~ "Usage: mix merlon.audit [PATH...]"
    File.write!(Path.join(dir, "lib/a.ex"), "defmodule A do\n  def a(x), do: :os.cmd(x)\nend\n")

    out =
      capture_io(fn ->
        assert {:shutdown, 1} = catch_exit(task.run([dir, "--format", "text"]))
      end)

    assert out =~ "lib/a.ex:2"
    assert capture_io(fn -> task.run([dir, "--fail-on", "critical"]) end) =~ "1 high"
  end
end
