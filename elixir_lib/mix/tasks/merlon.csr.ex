# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Csr do
  @moduledoc """
  Makes a key and a signing request for a node, for a CA that is not merlon's.

      mix merlon.csr NAME@HOST [--dir DIR] [--cluster NAME] [--ip IP] [--cli USER] [--alg p256|p384|ed25519] [--force]

  `mix merlon.csr --help` explains the options. The same as `bin/merlon csr`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Makes a key and a signing request for another CA"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("csr", args, "mix merlon.csr")
end
