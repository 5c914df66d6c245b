# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Audit do
  @moduledoc """
  Finds what is dangerous in code, configuration and releases, in running nodes, on the wire.

      mix merlon.audit [PATH...] [--format text|json|sarif|html] [--fail-on SEVERITY]
      mix merlon.audit --node NODE [--cluster]
      mix merlon.audit --wire HOST[:PORT]
      mix merlon.audit --bait ADDR

  `mix merlon.audit --help` explains the options. The same as `bin/merlon audit`, and reads sources of
  Elixir besides BEAM files. Exits with 0 when nothing is found, 1 when something is, 2 when something
  could not be scanned.
  """
  @shortdoc "Finds what is dangerous in the code"

  use Mix.Task

  @impl true
  def run(args) do
    Merlon.Command.run("audit", args, "mix merlon.audit", %{parser: &Merlon.Audit.parse/2})
  end
end
