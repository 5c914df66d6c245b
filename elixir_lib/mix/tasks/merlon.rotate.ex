# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Rotate do
  @moduledoc """
  Rotates what a cluster is built on: its secret (a new keyring entry takes the place of all others), or the root of
  its certificates (all nodes trust both, get certificates of the new one, drop the old one).

      mix merlon.rotate secret [--dir DIR] [--grace 24h] [--skew 5m]
      mix merlon.rotate secret --status [--dir DIR]
      mix merlon.rotate ca [--dir DIR] [--until trust|issue] [--wait 10m] [--without NODE] [--force] [--days N]
      mix merlon.rotate ca --status [--dir DIR]
      mix merlon.rotate ca --rollback [--dir DIR]

  `mix merlon.rotate --help` explains the options. The same as `bin/merlon rotate`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Rotates the secret of a cluster, or its root"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("rotate", args, "mix merlon.rotate")
end
