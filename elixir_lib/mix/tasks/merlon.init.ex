# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Init do
  @moduledoc """
  Makes a cluster's certificate authority and its merlon dir.

      mix merlon.init --cluster NAME [--dir DIR] [--days 3650] [--alg p256|p384|ed25519]
      mix merlon.init --secret [CLUSTER] [--dir DIR] [--passphrase-file FILE]

  With `--secret` there is no authority: a keyring is all, and nodes make themselves certificates.

  `mix merlon.init --help` explains the options. The same as `bin/merlon init`. Exits with 0 when
  it is done, 1 when it was refused, 2 when it was called wrongly.
  """
  @shortdoc "Makes a cluster's certificate authority and its merlon dir"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("init", args, "mix merlon.init")
end
