# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Doctor do
  @moduledoc """
  Says whether this host and its merlon dir are ready for the carrier, and what to mend.

      mix merlon.doctor [NODE] [--dir DIR] [--args rel/vm.args] [--format text|json]
      mix merlon.doctor --emit mix >> rel/vm.args.eex

  With NODE it also shakes hands with that node, step by step. `mix merlon.doctor --help` explains the options.
  The same as `bin/merlon doctor`. Exits with 0 when nothing failed, 1 when something did, 2 when it was
  called wrongly.
  """
  @shortdoc "Says whether this host is ready for the carrier"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("doctor", args, "mix merlon.doctor")
end
