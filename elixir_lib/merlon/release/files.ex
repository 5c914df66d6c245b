# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Release.Files do
  @moduledoc false

  # The lines that merlon needs in vm.args, remote.vm.args and env.sh of a release, and in the templates of these in a
  # project's rel/. Texts in, texts out.

  @type options :: keyword()

  @files ["vm.args", "remote.vm.args", "env.sh"]
  @keys [:dir, :ipv6, :distribution, :node]
  @guard String.trim_trailing(~S"""
         # merlon: -proto_dist stands in vm.args; given twice, OTP before 27 uses plain TCP without a word.
         case "${ERL_FLAGS-} ${ERL_AFLAGS-} ${ERL_ZFLAGS-} ${ELIXIR_ERL_OPTIONS-}" in
           *-proto_dist*) echo "merlon: take -proto_dist out of ERL_FLAGS and the like" >&2; exit 1 ;;
         esac
         """)

  @spec names() :: [String.t()]
  def names, do: @files

  # Whether a release can be configured with these at all.
  @spec check(options()) :: :ok | {:error, String.t()}
  def check(options) do
    Enum.find_value(options, :ok, fn {key, value} ->
      unless good?(key, value), do: {:error, "merlon: #{problem(key, value)}"}
    end)
  end

  defp good?(:dir, dir) when is_binary(dir), do: dir =~ ~r{\A/[^\s"'`\\#<>$]+\z}
  defp good?(:node, node) when is_binary(node), do: node =~ ~r/\A[^\s"'`\\<>@]+@[^\s"'`\\<>@]+\z/
  defp good?(:ipv6, value), do: is_boolean(value)
  defp good?(:distribution, value), do: value in [:name, :sname]
  defp good?(_, _), do: false

  defp problem(:dir, dir),
    do: "dir must be an absolute path without spaces and quotes, not #{inspect(dir)}"

  defp problem(:node, node), do: "node must be NAME@HOST, not #{inspect(node)}"

  defp problem(key, value) when key in @keys,
    do: "#{key} can't be #{inspect(value)}"

  defp problem(key, _), do: "there is no option #{inspect(key)}: there are #{inspect(@keys)}"

  # The text with what merlon needs; the same text if all is there.
  @spec edit(String.t(), String.t(), options()) :: String.t()
  def edit("env.sh", text, options) do
    guarded = if text =~ "-proto_dist stands in vm.args", do: text, else: append(text, @guard)
    Enum.reduce(exports(options), guarded, &with_export/2)
  end

  def edit(_args, text, options), do: Enum.reduce(flags(options), text, &with_flag/2)

  # The text without what edit/3 writes. RELEASE_DISTRIBUTION and RELEASE_NODE serve any carrier.
  @spec undo(String.t(), String.t()) :: String.t()
  def undo("env.sh", text), do: String.replace(text, @guard <> "\n", "")

  def undo(_args, text),
    do:
      text
      |> without(~r/^\s*-proto_dist\s+merlon6?\s*(#.*)?$/)
      |> without(~r/^\s*-merlon_dir\s+\S+\s*(#.*)?$/)

  defp flags(options) do
    [{"-proto_dist", if(options[:ipv6], do: "merlon6", else: "merlon")}] ++
      if(options[:dir], do: [{"-merlon_dir", options[:dir]}], else: [])
  end

  defp with_flag({flag, value}, text) do
    case values(text, flag) do
      [^value] -> text
      [] -> append(text, "#{flag} #{value}")
      _ -> text |> without(~r/^\s*#{flag}\s/) |> append("#{flag} #{value}")
    end
  end

  defp exports(options) do
    for {key, name} <- [distribution: "RELEASE_DISTRIBUTION", node: "RELEASE_NODE"],
        value = options[key],
        do: {name, exported(name, value)}
  end

  defp exported("RELEASE_NODE", node), do: ~s(export RELEASE_NODE="${RELEASE_NODE:-#{node}}")
  defp exported(name, value), do: "export #{name}=#{value}"

  defp with_export({name, line}, text) do
    if line in lines(text),
      do: text,
      else: text |> without(~r/^\s*export #{name}=/) |> append(line)
  end

  defp append(text, line) when text == "", do: line <> "\n"
  defp append(text, line), do: String.trim_trailing(text, "\n") <> "\n" <> line <> "\n"

  defp without(text, regex),
    do: text |> lines() |> Enum.reject(&(&1 =~ regex)) |> Enum.join("\n")

  defp lines(text), do: String.split(text, "\n")

  # What is wrong with a file that should be ready: once each, with the right value.
  @spec problems(String.t(), String.t(), options()) :: [String.t()]
  def problems("env.sh" = file, text, options) do
    for {name, line} <- exports(options),
        line not in lines(text),
        do: "#{file} does not set #{name} by `#{line}`"
  end

  def problems(file, text, options), do: wrong(file, text, options, [])

  # What stands there and is something else than merlon needs.
  @spec conflicts(String.t(), String.t(), options()) :: [String.t()]
  def conflicts("env.sh", _text, _options), do: []
  def conflicts(file, text, options), do: wrong(file, text, options, [[]])

  defp wrong(file, text, options, also) do
    for {flag, value} <- flags(options),
        found = values(text, flag),
        found not in [[value] | also] do
      "#{file} must have `#{flag} #{value}` once, it has #{said(flag, found)}"
    end
  end

  defp said(flag, []), do: "no #{flag}"
  defp said(flag, found), do: Enum.map_join(found, " and ", &"`#{flag} #{&1}`")

  # All values of a flag, but those in comments.
  @spec values(String.t(), String.t()) :: [String.t()]
  def values(text, flag) do
    text
    |> lines()
    |> Enum.flat_map(&(&1 |> String.replace(~r/#.*/, "") |> String.split()))
    |> following(flag)
  end

  defp following([flag, value | rest], flag), do: [value | following(rest, flag)]
  defp following([flag], flag), do: [""]
  defp following([_ | rest], flag), do: following(rest, flag)
  defp following([], _flag), do: []

  # Lines with "+", "-" and "  ", only what has changed with a line around it.
  @spec diff(String.t(), String.t()) :: [String.t()]
  def diff(old, new) do
    List.myers_difference(lines(old), lines(new))
    |> Enum.flat_map(fn
      {:eq, lines} -> lines |> near() |> Enum.map(&"  #{&1}")
      {:del, lines} -> Enum.map(lines, &"- #{&1}")
      {:ins, lines} -> Enum.map(lines, &"+ #{&1}")
    end)
  end

  defp near(lines) when length(lines) > 2, do: [hd(lines), "...", List.last(lines)]
  defp near(lines), do: lines
end
