# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Error do
  @moduledoc """
  What went wrong, as data and in words.

  `reason` is the reason of the Erlang functions' `{:error, reason}`, for example
  `{:identity, {:no_trust, path}}`; `message/1` is one sentence with what to do.
  """

  @type t :: %__MODULE__{reason: term()}

  @enforce_keys [:reason]
  defexception [:reason]

  @impl true
  def message(%__MODULE__{reason: reason}) do
    reason |> :merlon.format_error() |> IO.chardata_to_string()
  end
end
