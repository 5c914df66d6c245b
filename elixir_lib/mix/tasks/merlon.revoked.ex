# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Revoked do
  @moduledoc """
  Lists the certificates that are revoked.

      mix merlon.revoked [--dir DIR]

  The same as `bin/merlon revoked`. Exits with 0 when it is done, 1 when it was refused, 2 when it was
  called wrongly.
  """
  @shortdoc "Lists the certificates that are revoked"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("revoked", args, "mix merlon.revoked")
end
