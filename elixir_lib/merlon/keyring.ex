# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Keyring do
  @moduledoc """
  The secrets that the nodes of a cluster share, and keys derived from them: the Erlang module
  `:merlon_keyring` for Elixir. Nothing here gives a secret back.

      {:ok, key} = Merlon.Keyring.derive("my_app secret_key_base", 64)

  Errors are `{:error, Merlon.Error.t()}`, whose message says what to do.
  """

  @typedoc """
  One entry: `id` says nothing about the secret. `kdf` is `:expand` for 256 random bits, or
  `{:argon2id, kib, passes, lanes}` for a passphrase. `state` is what it is good for now.
  """
  @type entry :: %{
          id: String.t(),
          created: DateTime.t(),
          not_before: DateTime.t(),
          not_after: DateTime.t() | :never,
          kdf: :merlon_keyring_core.kdf(),
          state: :not_yet | :accepted | :expired
        }

  @doc "The entries that this node uses, newest first."
  @spec entries() :: {:ok, [entry()]} | {:error, Merlon.Error.t()}
  def entries,
    do: :merlon_keyring.entries() |> result(&Enum.map(&1, fn entry -> times(entry) end))

  @doc """
  The entries of the keyring in a merlon dir, newest first, whether they count now or not; `:none`
  if there is no keyring. A passphrase takes its time.
  """
  @spec read(Path.t()) :: {:ok, [entry()] | :none} | {:error, Merlon.Error.t()}
  def read(dir), do: dir |> String.to_charlist() |> :merlon_keyring.read() |> result(&listed/1)

  @doc """
  `length` bytes (at most 8160) for a use that `info` names. Every node with the same newest entry
  gets the same; another newest entry gives others, so keep what must last.
  """
  @spec derive(binary(), non_neg_integer()) :: {:ok, binary()} | {:error, Merlon.Error.t()}
  def derive(info, length), do: info |> :merlon_keyring.derive(length) |> result(& &1)

  @doc """
  Makes a new entry in the place of all others, spreads it over the links of this node and gives its
  id. Options, in seconds: `:grace`, in which nodes that are away can come back (a day by default),
  and `:skew`, by which the nodes' clocks may differ (5 minutes); together 10 at least.
  """
  @spec rotate(grace: non_neg_integer(), skew: non_neg_integer()) ::
          {:ok, String.t()} | {:error, Merlon.Error.t()}
  def rotate(opts \\ []), do: opts |> :merlon_keyring.rotate() |> result(& &1)

  defp listed(:none), do: :none

  defp listed(entries) do
    now = System.os_time(:second)

    for entry <- entries do
      entry |> Map.put(:state, :merlon_keyring.state(entry, now)) |> Map.delete(:ref) |> times()
    end
  end

  defp times(entry) do
    Enum.reduce([:created, :not_before, :not_after], entry, fn key, entry ->
      Map.update!(entry, key, &time/1)
    end)
  end

  defp time(:never), do: :never
  defp time(seconds), do: DateTime.from_unix!(seconds)

  defp result({:ok, value}, fun), do: {:ok, fun.(value)}
  defp result({:error, reason}, _fun), do: {:error, %Merlon.Error{reason: reason}}
end
