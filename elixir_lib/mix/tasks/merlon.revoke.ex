# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Revoke do
  @moduledoc """
  Revokes a certificate that this merlon dir's CA has issued.

      mix merlon.revoke NODE|SERIAL [--dir DIR] [--reason REASON] [--days N] [--renew]

  `mix merlon.revoke --help` explains the options. The same as `bin/merlon revoke`. Exits with 0 when
  it is done (or was already), 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Revokes a certificate that this merlon dir's CA has issued"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("revoke", args, "mix merlon.revoke")
end
