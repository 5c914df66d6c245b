# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Inspect do
  @moduledoc """
  Says what a certificate, or a whole merlon dir, is good for.

      mix merlon.inspect FILE|DIR

  `mix merlon.inspect --help` explains the options. The same as `bin/merlon inspect`. Exits with 0 when
  it is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Says what a certificate, or a whole merlon dir, is good for"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("inspect", args, "mix merlon.inspect")
end
