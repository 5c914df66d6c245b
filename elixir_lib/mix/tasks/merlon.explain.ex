# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Explain do
  @moduledoc """
  Says what stands in the way of a link to a node, and how to mend it.

      mix merlon.explain NODE [--as NODE] [--dir DIR] [--cookie-file FILE] [--port PORT] [--inet6]

  The same as `bin/merlon explain`. Exits with 0 when nothing stands in the way or a link is up, 1 when
  something does, 2 when it was called wrongly.
  """
  @shortdoc "Says what stands in the way of a link to a node"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("explain", args, "mix merlon.explain")
end
