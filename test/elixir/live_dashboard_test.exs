# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.LiveDashboardTest do
  # Compiles a stand-in for Phoenix's module, so alone.
  use ExUnit.Case, async: false

  @source "elixir_lib/merlon/live_dashboard.ex"
  @params %{search: nil, sort_by: :node, sort_dir: :asc, limit: 50}

  setup_all do
    {:ok, _} = Application.ensure_all_started(:merlon)
    :ok
  end

  test "the page is there where the dashboard is, and only there" do
    refute Code.ensure_loaded?(Phoenix.LiveDashboard.PageBuilder)
    refute Code.ensure_loaded?(Merlon.LiveDashboard.Page)
    Code.compiler_options(ignore_module_conflict: true)
    Code.compile_file("test/fixtures/page_builder.ex")
    compiled = for {module, _} <- Code.compile_file(@source), do: module
    Code.compiler_options(ignore_module_conflict: false)
    assert Merlon.LiveDashboard.Page in compiled

    # Not there when this is compiled: the compiler is not to look.
    page = Enum.find(compiled, &(&1 == Merlon.LiveDashboard.Page))
    assert {:ok, "Merlon"} = page.menu_link(%{}, %{})
    assert {:heex, %{page: :p}, text} = page.render(%{page: :p})
    assert text =~ "row_fetcher={&Merlon.LiveDashboard.links/2}"
    # What it refers to is there.
    assert {[], 0} = Merlon.LiveDashboard.links(@params, node())

    # And an application can make it for itself.
    [{own, _}] = Code.compile_string("defmodule OwnMerlonPage do use Merlon.LiveDashboard end")
    assert {:ok, "Merlon"} = own.menu_link(%{}, %{})
  end
end
