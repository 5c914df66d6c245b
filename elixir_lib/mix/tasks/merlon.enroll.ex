# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Enroll do
  @moduledoc """
  Lets nodes join with tokens, until it is stopped.

      mix merlon.enroll [--dir DIR] [--listen ADDR:PORT]

  `mix merlon.enroll --help` explains the options. The same as `bin/merlon enroll`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Lets nodes join with tokens"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("enroll", args, "mix merlon.enroll")
end
