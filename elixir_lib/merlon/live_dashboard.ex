# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.LiveDashboard do
  @moduledoc """
  A page for Phoenix LiveDashboard (0.8 or newer): who the node is linked to, and how.

  Needs the application `:merlon` on each node that is looked at; `{status, ...}` of `merlon.config` need not be
  set. mix compiles a dependency without what it does not depend on, so let your application make the page:

      defmodule MyAppWeb.MerlonPage do
        use Merlon.LiveDashboard
      end

      live_dashboard "/dashboard", additional_pages: [merlon: MyAppWeb.MerlonPage]

  Where Merlon is compiled together with the dashboard there is `Merlon.LiveDashboard.Page` as well.
  """

  # Milliseconds that a node may take to answer.
  @patience 5_000

  defmacro __using__(_opts) do
    quote do
      use Phoenix.LiveDashboard.PageBuilder

      @impl true
      def menu_link(_session, _capabilities), do: {:ok, "Merlon"}

      @impl true
      def render(var!(assigns)) do
        ~H"""
        <.live_table
          id="merlon-links"
          dom_id="merlon-links"
          page={@page}
          title="Links"
          rows_name="links"
          row_fetcher={&Merlon.LiveDashboard.links/2}
        >
          <:col field={:node} sortable={:asc} />
          <:col field={:direction} />
          <:col field={:carrier} />
          <:col field={:cipher_suite} header="Cipher" />
          <:col field={:identity} />
          <:col field={:peer} header="Address" />
          <:col field={:certificate_ends} sortable={:asc} />
          <:col field={:up_since} sortable={:desc} />
          <:col field={:bytes_in} header="In" text_align="right" sortable={:desc} />
          <:col field={:bytes_out} header="Out" text_align="right" sortable={:desc} />
        </.live_table>
        """
      end
    end
  end

  @doc """
  The links of `node` for the table of a page: those of which a cell has `search` in it, sorted, at most
  `limit`; and how many there are.

  A cell is text or a number; one that is not known is empty. A link that is not Merlon's has the carrier `other`.
  """
  @spec links(map(), node()) :: {[map()], non_neg_integer()}
  def links(%{search: search, sort_by: by, sort_dir: direction, limit: limit}, node) do
    %{links: links} = :erpc.call(node, :merlon_status, :view, [], @patience)
    found = links |> Enum.map(&row/1) |> Enum.filter(&found?(&1, search))
    {found |> Enum.sort_by(& &1[by], direction) |> Enum.take(limit), length(found)}
  end

  defp row(link) do
    known = Map.new(link, fn {key, value} -> {key, cell(value)} end)

    Map.merge(known, %{
      certificate_ends: time(link[:not_after]),
      up_since: time(link[:since])
    })
  end

  defp cell(:null), do: nil
  defp cell(word) when is_atom(word), do: Atom.to_string(word)
  defp cell(value), do: value

  # They sort as they read.
  defp time(nil), do: nil
  defp time(seconds), do: seconds |> DateTime.from_unix!() |> DateTime.to_iso8601()

  defp found?(_row, search) when search in [nil, ""], do: true

  defp found?(row, search) do
    wanted = String.downcase(search)

    Enum.any?(row, fn {_, value} ->
      is_binary(value) and String.contains?(String.downcase(value), wanted)
    end)
  end
end

if Code.ensure_loaded?(Phoenix.LiveDashboard.PageBuilder) do
  defmodule Merlon.LiveDashboard.Page do
    @moduledoc "The page of `Merlon.LiveDashboard`, where Merlon is compiled together with the dashboard."
    use Merlon.LiveDashboard
  end
end
