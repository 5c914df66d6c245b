# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Audit do
  @moduledoc """
  The audit of code and configuration: the Erlang module `:merlon_audit` for Elixir, which reads sources of Elixir too.

      {:ok, report} = Merlon.Audit.scan(["."])
      for %{rule: rule, file: file, line: line} <- report.findings, do: {rule, file, line}

  Nothing of the project is run: sources are parsed, never compiled or evaluated, and names in them
  that are no atoms yet stay binaries.
  """

  @doc "Scans the files below `paths`. The options are those of `t::merlon_audit.options/0`."
  @spec scan([Path.t()], keyword() | map()) ::
          {:ok, :merlon_audit.report()} | {:error, Merlon.Error.t()}
  def scan(paths, options \\ []) do
    options = Map.merge(%{parser: &parse/2}, Map.new(options))

    case :merlon_audit.scan(Enum.map(paths, &to_charlist/1), options) do
      {:ok, report} -> {:ok, report}
      {:error, reason} -> {:error, %Merlon.Error{reason: reason}}
    end
  end

  @doc "Parses a source for `:merlon_audit`, without making atoms of its names."
  @spec parse(binary(), binary()) ::
          {:ok, term()} | {:error, {non_neg_integer(), iodata()}}
  def parse(source, file) do
    options = [file: file, static_atoms_encoder: &known_atom/2, emit_warnings: false]

    case quoted(Path.extname(file), source, options) do
      {:ok, quoted} -> {:ok, quoted}
      {:error, {meta, _message, _token}} -> {:error, {meta[:line] || 0, "it is no Elixir"}}
    end
  rescue
    # What a template says about itself.
    error in [EEx.SyntaxError] -> {:error, {error.line || 0, "it is no template of EEx"}}
    # The parser takes names for atoms in some places.
    _ -> {:error, {0, "it is no Elixir"}}
  end

  defp quoted(extension, source, options) when extension in [".eex", ".heex"] do
    {:ok, Merlon.Audit.Template.quoted(extension, source, options)}
  end

  defp quoted(_extension, source, options), do: Code.string_to_quoted(source, options)

  defp known_atom(name, _meta) do
    {:ok, String.to_existing_atom(name)}
  rescue
    ArgumentError -> {:ok, name}
  end
end
