# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Merlon.Cookie do
  @moduledoc """
  Says how easily a cookie is guessed, without showing it.

      mix merlon.cookie [FILE|-] [--prove CHALLENGE:DIGEST [--state PATH]]

  `mix merlon.cookie --help` explains the options. The same as `bin/merlon cookie`. Exits with 0 when
  the cookie is fine, 1 when it is weak, 2 when it could not be read.
  """
  @shortdoc "Says how easily a cookie is guessed"

  use Mix.Task

  @impl true
  def run(args), do: Merlon.Command.run("cookie", args, "mix merlon.cookie")
end
