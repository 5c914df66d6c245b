# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Setup do
  @moduledoc """
  Writes what merlon needs into the templates of a project's releases, after showing what changes.

      mix merlon.setup [--dir DIR] [--distribution name|sname] [--node NAME@HOST] [--ipv6]
                       [--rel FOLDER] [--yes] [--check]
      mix merlon.setup --remove [--rel FOLDER] [--yes]

    * `--dir` - the merlon dir on the machines that run the release
    * `--distribution`, `--node` - for `RELEASE_DISTRIBUTION` and `RELEASE_NODE` in `env.sh`
    * `--ipv6` - the nodes listen on IPv6 and dial over it
    * `--rel` - where the templates are, `rel` by default
    * `--yes` - writes without asking
    * `--check` - writes nothing; exits with 1 if something is to be changed
    * `--remove` - takes these lines out again, before merlon leaves the dependencies: a release that has them and not
      merlon does not start

  The files are `vm.args.eex`, `remote.vm.args.eex` and `env.sh.eex`; those that are missing are made. Run
  again it changes nothing. Exits with 0 when all is as it should be, 1 when it is not, 2 when it
  was called wrongly. `Merlon.Release` does the same while a release is assembled.
  """
  @shortdoc "Writes what merlon needs into the templates of releases"

  use Mix.Task

  alias Merlon.Release.Files

  @switches [
    dir: :string,
    distribution: :string,
    node: :string,
    ipv6: :boolean,
    rel: :string,
    yes: :boolean,
    check: :boolean,
    remove: :boolean,
    help: :boolean
  ]

  @impl true
  def run(args) do
    case OptionParser.parse(args, strict: @switches, aliases: [h: :help]) do
      {options, [], []} -> run_with(options)
      {_, [argument | _], _} -> wrong("unexpected argument #{argument}")
      {_, _, [{option, _} | _]} -> wrong("#{option} is unknown or has no value")
    end
  end

  defp run_with(options) do
    {task, release} = Keyword.split(options, [:rel, :yes, :check, :remove, :help])
    release = Keyword.replace_lazy(release, :distribution, &distribution/1)

    case {task[:help], Files.check(release)} do
      {true, _} -> Mix.shell().info(@moduledoc)
      {_, :ok} -> changes(task[:rel] || "rel", task[:remove], release) |> act(task)
      {_, {:error, text}} -> wrong(String.replace_prefix(text, "merlon: ", ""))
    end
  end

  defp distribution("name"), do: :name
  defp distribution("sname"), do: :sname
  defp distribution(other), do: other

  defp changes(rel, remove, options) do
    for name <- Files.names(),
        path = Path.join(rel, name <> ".eex"),
        old = read(path),
        new = if(remove, do: Files.undo(name, old), else: Files.edit(name, old, options)),
        new != old,
        do: {path, old, new}
  end

  # One that can't be read is not replaced: that raises.
  defp read(path), do: if(File.exists?(path), do: File.read!(path), else: "")

  defp act([], _task), do: Mix.shell().info("Nothing to change.")

  defp act(changes, task) do
    Enum.each(changes, &show/1)

    cond do
      task[:check] -> exit({:shutdown, 1})
      task[:yes] || Mix.shell().yes?("Write this?") -> Enum.each(changes, &write/1)
      true -> exit({:shutdown, 1})
    end
  end

  defp show({path, old, new}) do
    Mix.shell().info("#{path}#{if old == "", do: " (new)"}")
    Enum.each(Files.diff(old, new), &Mix.shell().info("  #{&1}"))
  end

  # A template that only merlon needed.
  defp write({path, _old, ""}) do
    File.rm!(path)
    Mix.shell().info("removed #{path}")
  end

  defp write({path, _old, new}) do
    File.mkdir_p!(Path.dirname(path))
    unfinished = "#{path}.#{System.pid()}"
    File.write!(unfinished, new)
    if File.exists?(path), do: File.chmod!(unfinished, File.stat!(path).mode)
    File.rename!(unfinished, path)
    Mix.shell().info("wrote #{path}")
  end

  defp wrong(text) do
    Mix.shell().error("mix merlon.setup: #{text}\nTry `mix help merlon.setup`.")
    exit({:shutdown, 2})
  end
end
