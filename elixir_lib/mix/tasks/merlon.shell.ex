# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Shell do
  @moduledoc """
  Says how to open a remote shell on a node with a tool's certificate.

      eval "$(mix merlon.shell NODE [--host HOST] [--dir DIR] [--ipv6])"

  A task of mix can't hand its terminal over, so it checks the certificate and prints the command;
  `bin/merlon shell` runs it as well. `mix merlon.shell --help` explains the options. Exits with 0 when
  it is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Says how to open a remote shell on a node"

  use Mix.Task

  @impl true
  def run(args) do
    Mix.Task.run("compile")

    # Any folder in the code path whose name begins with "merlon-" may be what Application.app_dir/2 finds.
    ebin = :filename.dirname(:code.which(:merlon))
    Merlon.Command.run("shell", args, "mix merlon.shell", %{words: ebin})
  end
end
