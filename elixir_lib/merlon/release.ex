# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Release do
  @moduledoc """
  A step of `mix release` that makes the release's nodes and tools talk over merlon.

      # mix.exs
      releases: [
        shop: [
          steps: [:assemble, &Merlon.Release.configure/1],
          merlon: [dir: "/etc/shop/merlon", distribution: :name, node: "shop@web1.example.com"]
        ]
      ]

  The options under `:merlon`, none of which is needed:

    * `:dir` - the merlon dir on the machine that runs the release; without it the places that
      [the README](readme.html) names, of which `merlon/` in the release is one
    * `:distribution` - `:name` or `:sname`, for `RELEASE_DISTRIBUTION`
    * `:node` - what `RELEASE_NODE` is if it is not set: a string `NAME@HOST`
    * `:ipv6` - `true` to listen and dial over IPv6 (`-proto_dist merlon6`)

  `mix merlon.setup` writes the same lines into the templates in `rel/` of a project instead.
  """

  alias Merlon.Release.Files

  @doc """
  Writes `-proto_dist merlon` and, if given, `-merlon_dir` into `vm.args` and `remote.vm.args` of the
  assembled release, and the rest into `env.sh`; then checks that all of it stands there once.

  Raises `Mix.Error`, and says what to do, if the release is without merlon or its library, an
  option makes no sense, or a template has another carrier or merlon dir already.
  """
  @spec configure(Mix.Release.t()) :: Mix.Release.t()
  def configure(%Mix.Release{} = release) do
    options = Keyword.get(release.options, :merlon, [])
    with {:error, text} <- Files.check(options), do: Mix.raise(text)
    complete!(release)
    Enum.each(Files.names(), &file!(Path.join(release.version_path, &1), &1, options))
    release
  end

  defp complete!(release) do
    unless Map.has_key?(release.applications, :merlon) do
      Mix.raise(
        "merlon: release #{release.name} is without merlon: add it to `deps` or `applications`"
      )
    end

    library = Path.join(release.path, "lib/merlon-*/priv/merlon_nif.so")

    if Path.wildcard(library) == [] do
      Mix.raise("merlon: there is no #{library}: the step must come after :assemble")
    end
  end

  defp file!(path, name, options) do
    old = File.read!(path)
    none!(Files.conflicts(name, old, options), ": mend rel/#{name}.eex")
    new = Files.edit(name, old, options)
    unless new == old, do: File.write!(path, new)

    none!(Files.problems(name, File.read!(path), options), "")
  end

  # What somebody wrote in a template is not overruled by what somebody wrote elsewhere.
  defp none!([], _advice), do: :ok
  defp none!(problems, advice), do: Mix.raise("merlon: " <> Enum.join(problems, "; ") <> advice)
end
