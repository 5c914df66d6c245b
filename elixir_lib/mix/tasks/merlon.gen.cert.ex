# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Gen.Cert do
  @moduledoc """
  Issues a key and a certificate for a node, or for tools.

      mix merlon.gen.cert NAME@HOST [--dir DIR] [--days 90] [--ip IP] [--cli USER] [--alg p256|p384|ed25519] [--force]

  `mix merlon.gen.cert --help` explains the options. The same as `bin/merlon cert`. Exits with 0 when
  it is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Issues a key and a certificate for a node, or for tools"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("cert", args, "mix merlon.gen.cert")
end
