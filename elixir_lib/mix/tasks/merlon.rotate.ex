# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Rotate do
  @moduledoc """
  Rotates the secret of a cluster: a new keyring entry takes the place of all others.

      mix merlon.rotate secret [--dir DIR] [--grace 24h] [--skew 5m]
      mix merlon.rotate secret --status [--dir DIR]

  `mix merlon.rotate --help` explains the options. The same as `bin/merlon rotate`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Rotates the secret of a cluster"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("rotate", args, "mix merlon.rotate")
end
