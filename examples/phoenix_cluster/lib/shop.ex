# SPDX-License-Identifier: Apache-2.0
defmodule Shop do
  @moduledoc "What is said in a room, and who is there: on all nodes of the cluster."

  def subscribe(room), do: Phoenix.PubSub.subscribe(Shop.PubSub, "room:" <> room)

  def say(room, text) do
    ShopWeb.Endpoint.broadcast("room:" <> room, "said", %{text: text})
  end

  @doc "Puts a process into a room; it leaves by ending."
  def enter(room, pid, name) do
    {:ok, _} = ShopWeb.Presence.track(pid, "room:" <> room, name, %{node: node()})
    :ok
  end

  @doc "The names in a room and the nodes that they are on."
  def present(room) do
    for {name, %{metas: [%{node: node} | _]}} <- ShopWeb.Presence.list("room:" <> room),
        do: {name, node}
  end
end
