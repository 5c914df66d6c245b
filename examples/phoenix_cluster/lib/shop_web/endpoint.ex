# SPDX-License-Identifier: Apache-2.0
defmodule ShopWeb.Endpoint do
  use Phoenix.Endpoint, otp_app: :shop

  socket "/socket", ShopWeb.UserSocket, websocket: [check_origin: false]
end
