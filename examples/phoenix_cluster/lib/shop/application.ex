# SPDX-License-Identifier: Apache-2.0
defmodule Shop.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    children = [
      {Phoenix.PubSub, name: Shop.PubSub},
      ShopWeb.Presence,
      {DNSCluster, query: Application.fetch_env!(:shop, :dns), interval: 1000},
      ShopWeb.Endpoint
    ]

    Supervisor.start_link(children, strategy: :one_for_one)
  end
end
