# SPDX-License-Identifier: Apache-2.0
defmodule ShopWeb.Errors do
  def render(template, _assigns),
    do: %{error: Phoenix.Controller.status_message_from_template(template)}
end
