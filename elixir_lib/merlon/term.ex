# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Term do
  @moduledoc """
  Terms from outside, decoded within a budget: `:merlon_term` for Elixir.

      iex> Merlon.Term.decode(:erlang.term_to_binary(%{user: 1}))
      {:ok, %{user: 1}}

      iex> {:error, error} = Merlon.Term.decode(:erlang.term_to_binary(1..9_999_999_999))
      iex> error.reason
      {:term, {:over, :range, 1_000_000}}

  `:erlang.binary_to_term(binary, [:safe])` keeps new atoms out and nothing else. Here the bytes are read first and
  refused when they are over the budget, before the VM allocates anything for them; then that function builds the term.

  A budget is a keyword list or a map; a key that is left out has its default (`default_budget/0`). Each is the largest
  value accepted, or `:infinity`:

    * `:bytes` - bytes of the binary as it came
    * `:inflated` - bytes of a compressed term when inflated; 0 for no compressed terms
    * `:terms` - every element, key, value, tail, and every character of a charlist
    * `:depth` - containers inside each other
    * `:new_atoms` - atoms that this VM does not have yet; they are made, and stay for ever
    * `:binary` - bytes of the largest binary or bitstring
    * `:bignum` - bytes of the largest integer beyond 32 bits
    * `:range` - numbers in a `Range`
    * `:allow` - what is more than data: `:funs`, `:exports` (`&Mod.fun/1`), `:pids`, `:ports`, `:refs`

  Bytes after the term are refused.
  """

  @type budget :: keyword() | map() | compiled()

  @typedoc "A budget, looked through once: see `budget!/1`."
  @opaque compiled :: :merlon_term.compiled()

  @doc "The term, if it is within the budget."
  @spec decode(binary(), budget()) :: {:ok, term()} | {:error, Merlon.Error.t()}
  def decode(binary, budget \\ []) do
    binary |> :merlon_term.decode(given(budget)) |> result()
  end

  @doc "The term; raises `Merlon.Error` if it is not within the budget."
  @spec decode!(binary(), budget()) :: term()
  def decode!(binary, budget \\ []) do
    case decode(binary, budget) do
      {:ok, term} -> term
      {:error, error} -> raise error
    end
  end

  @doc """
  What the term costs, under the budget's keys, without building it.

  `:binary`, `:bignum` and `:range` are the largest one's. What only building shows is not seen, such as a key that
  is twice in a map.
  """
  @spec scan(binary(), budget()) ::
          {:ok, %{atom() => non_neg_integer()}} | {:error, Merlon.Error.t()}
  def scan(binary, budget \\ []) do
    binary |> :merlon_term.scan(given(budget)) |> result()
  end

  @doc """
  A budget to be used many times, for who decodes many small terms: reading a map takes as long as scanning 200 bytes.
  Raises `Merlon.Error` if it is none.

      iex> budget = Merlon.Term.budget!(depth: 3)
      iex> Merlon.Term.decode(:erlang.term_to_binary({1, [2]}), budget)
      {:ok, {1, [2]}}
  """
  @spec budget!(keyword() | map()) :: compiled()
  def budget!(budget) do
    case result(:merlon_term.budget(Map.new(budget))) do
      {:ok, compiled} -> compiled
      {:error, error} -> raise error
    end
  end

  @doc "The budget that is meant when none is given."
  @spec default_budget() :: map()
  def default_budget, do: :merlon_term.default_budget()

  defp given(budget) when is_tuple(budget), do: budget
  defp given(budget), do: Map.new(budget)

  defp result({:ok, _} = ok), do: ok
  defp result({:error, reason}), do: {:error, %Merlon.Error{reason: reason}}
end
