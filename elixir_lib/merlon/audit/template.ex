# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Audit.Template do
  @moduledoc """
  Templates of EEx and HEEx as quoted code for `Merlon.Audit`, each expression where it stands. Nothing
  is evaluated. Of HEEx what is between braces is taken too; its components are not looked up.
  """

  @doc "The code of a template: `extension` is `.eex` or `.heex`."
  @spec quoted(String.t(), binary(), keyword()) :: Macro.t()
  def quoted(".heex", source, options), do: quoted(".eex", braces(source), options)

  def quoted(".eex", source, options) do
    parser = Keyword.take(options, [:static_atoms_encoder, :emit_warnings])
    EEx.compile_string(source, file: options[:file], parser_options: parser)
  end

  # Outside of tags `{expression}` is `<%= expression %>`; lines stay where they are.
  defp braces(source) do
    Regex.replace(~r/<%.*?%>|<(script|style)\b.*?<\/\1>|\{((?:[^{}]|\{[^{}]*\})*)\}/s, source, fn
      whole, _, "" -> whole
      _, _, inside -> "<%= " <> inside <> " %>"
    end)
  end
end
