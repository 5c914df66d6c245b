# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.DocsTest do
  # Most of what `mix docs` warns of, for where there is no ex_doc.
  use ExUnit.Case, async: true

  defp pages do
    for page <- Mix.Project.config()[:docs][:extras] do
      case page do
        {path, _options} -> path
        path -> path
      end
    end
  end

  # {page, file} for each link of a page to a file of this tree.
  defp links do
    for page <- pages(),
        [_, target] <- Regex.scan(~r/\]\(([^)\s#]+)/, File.read!(page)),
        not String.contains?(target, ":"),
        do: {page, Path.expand(target, Path.dirname(page)) |> Path.relative_to_cwd()}
  end

  test "pages are there, and every guide and example is one" do
    assert Enum.reject(pages(), &File.regular?/1) == []
    guides = Path.wildcard("docs/**/*.md") ++ Path.wildcard("examples/*/README.md")
    assert length(guides) > 10
    assert guides -- pages() == []
  end

  test "the README is short",
    do: assert(length(String.split(File.read!("README.md"), "\n")) <= 121)

  test "what a page links to is a page, or at least there" do
    assert length(links()) > 50
    assert Enum.reject(links(), fn {_, target} -> File.exists?(target) end) == []
    files = Enum.filter(links(), fn {_, target} -> File.regular?(target) end)
    assert Enum.reject(files, fn {_, target} -> target in pages() end) == []
  end

  test "each module and each function of the API says what it is for" do
    {:ok, modules} = :application.get_key(:merlon, :modules)
    elixir = for module <- modules, match?("Elixir." <> _, to_string(module)), do: module
    assert length(elixir) > 20

    for module <- elixir, {:docs_v1, _, _, _, doc, _, entries} = Code.fetch_docs(module) do
      assert doc != :none, "#{inspect(module)} has no @moduledoc"

      # Exceptions and structs bring the last three.
      for {{kind, name, arity}, _, _, :none, _} <- entries,
          doc != :hidden and kind in [:function, :macro] and
            name not in [:__using__, :exception, :message, :__struct__] do
        flunk("#{inspect(module)}.#{name}/#{arity} has no @doc")
      end
    end
  end
end
