# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Token do
  @moduledoc """
  Makes a token with which one node can join, lists or revokes tokens.

      mix merlon.token NAME@HOST... [--ttl 30m] [--cli] [--at HOST:PORT] [--days N] [--dir DIR]
      mix merlon.token --list [--dir DIR]
      mix merlon.token --revoke ID [--dir DIR]

  `mix merlon.token --help` explains the options. The same as `bin/merlon token`. Exits with 0 when it
  is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Makes, lists and revokes tokens with which nodes join"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("token", args, "mix merlon.token")
end
