# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Keyring do
  @moduledoc """
  Lists the secrets of a merlon dir, adds or removes one. Never shows them.

      mix merlon.keyring [--dir DIR] [--new [--not-before TIME] [--not-after TIME] | --drop ID]
      mix merlon.keyring --new --passphrase-file FILE

  With `--passphrase` mix reads the passphrase from standard input and shows what is typed;
  `bin/merlon keyring` does not.

  `mix merlon.keyring --help` explains the options. The same as `bin/merlon keyring`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Lists, adds and removes secrets of a keyring"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("keyring", args, "mix merlon.keyring")
end
