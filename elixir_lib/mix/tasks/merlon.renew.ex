# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Renew do
  @moduledoc """
  Gives a node its next key and certificate.

      mix merlon.renew [NODE] [--dir DIR]

  `mix merlon.renew --help` explains the options. The same as `bin/merlon renew`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Gives a node its next key and certificate"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("renew", args, "mix merlon.renew")
end
