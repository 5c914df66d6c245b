# SPDX-License-Identifier: Apache-2.0
defmodule ShopWeb.RoomChannel do
  use Phoenix.Channel

  @impl true
  def join("room:" <> room, _params, socket) do
    send(self(), :entered)
    {:ok, assign(socket, :room, room)}
  end

  @impl true
  def handle_info(:entered, socket) do
    :ok = Shop.enter(socket.assigns.room, self(), socket.assigns.name)
    {:noreply, socket}
  end

  @impl true
  def handle_in("say", %{"text" => text}, socket) do
    broadcast!(socket, "said", %{text: text})
    {:noreply, socket}
  end
end
