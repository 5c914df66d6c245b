# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Join do
  @moduledoc """
  Joins a cluster with a token that `mix merlon.token` has made.

      mix merlon.join TOKEN|FILE|- [--dir DIR] [--name NODE] [--alg p256|p384|ed25519]

  `mix merlon.join --help` explains the options. The same as `bin/merlon join`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Joins a cluster with a token"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("join", args, "mix merlon.join")
end
