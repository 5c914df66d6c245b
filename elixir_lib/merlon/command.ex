# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Command do
  @moduledoc false

  # Runs a command of `bin/merlon` for a mix task. Mix has no task that ends with another exit code
  # than 1, so the VM is stopped here when there is something to tell the shell.
  @spec run(String.t(), [String.t()], String.t(), map()) :: :ok
  def run(name, args, program, more \\ %{}) do
    Mix.Task.run("compile")
    args = Enum.map(args, &String.to_charlist/1)

    {code, out, error} =
      :merlon_cli.command(String.to_charlist(name), args, String.to_charlist(program), more)

    IO.write(out)
    IO.write(:stderr, error)
    if code == 0, do: :ok, else: exit({:shutdown, code})
  end
end
