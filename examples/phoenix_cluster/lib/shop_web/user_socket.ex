# SPDX-License-Identifier: Apache-2.0
defmodule ShopWeb.UserSocket do
  use Phoenix.Socket

  channel "room:*", ShopWeb.RoomChannel

  @impl true
  def connect(%{"name" => name}, socket, _info), do: {:ok, assign(socket, :name, name)}
  def connect(_params, _socket, _info), do: :error

  @impl true
  def id(_socket), do: nil
end
