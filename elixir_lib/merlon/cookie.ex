# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.Cookie do
  @moduledoc """
  What a cookie is worth to who wants to guess it: the Erlang module `:merlon_cookie` for Elixir.
  Nothing here shows the cookie.
  """

  @typedoc "See `t::merlon_cookie.report/0`. `seed` is in a function: it is as good as the cookie."
  @type report :: :merlon_cookie.report()

  @doc "What there is to say about `cookie`; `names:` that it may be derived from, `file:` it is in."
  @spec analyse(binary(), keyword()) :: report()
  def analyse(cookie, context \\ []), do: :merlon_cookie.analyse(cookie, Map.new(context))

  @doc "The cookie in a file, as OTP reads it."
  @spec read(Path.t()) :: {:ok, binary()} | {:error, Merlon.Error.t()}
  def read(path) do
    case :merlon_cookie.read(path) do
      {:ok, cookie} -> {:ok, cookie}
      {:error, reason} -> {:error, %Merlon.Error{reason: reason}}
    end
  end
end
