# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.PKI do
  @moduledoc """
  Certificates for applications: what the nodes' own links use to issue, judge and read them.

  The Erlang module `:merlon_pki` for Elixir; its options are maps or keyword lists, its errors
  `Merlon.Error`. Certificates and requests are PEM. A private key is given back as a function, so
  that no log or crash report holds it by accident: `key.()` is its PEM. Times are seconds since
  1970.

      {:ok, ca} = Merlon.PKI.new_ca(cluster: "shop")
      {:ok, %{cert: cert, key: key}} = Merlon.PKI.issue(ca, subject: :app@web1, days: 30)

      {:ok, %{identity: {:node, "shop", "app", "web1"}}} =
        Merlon.PKI.verify(cert, trust: [ca.cert], cluster: "shop", usage: :server)
  """

  import Kernel, except: [inspect: 1, inspect: 2]

  @type options :: map() | keyword()
  @type error :: {:error, Merlon.Error.t()}

  @doc "A CA for a cluster. Options: `:cluster`, `:alg` (`:p256`), `:days` (3650), `:now`."
  @spec new_ca(options()) :: {:ok, %{cert: String.t(), key: :merlon_pki.key()}} | error()
  def new_ca(options), do: options |> Map.new() |> :merlon_pki.new_ca() |> result()

  @doc """
  A key and a certificate for it, signed by a CA.

  Options: `:subject` (`:name@host`, `{:node, name, host}` or `{:cli, user, host}`), `:alg`, `:ips`
  (beside the host's name), `:days` (90, cut at the CA's end), `:now`.
  """
  @spec issue(:merlon_pki.ca(), options()) ::
          {:ok, %{cert: String.t(), key: :merlon_pki.key()}} | error()
  def issue(ca, options), do: ca |> :merlon_pki.issue(Map.new(options)) |> result()

  @doc """
  Judges a chain (the leaf first) exactly as a link's handshake does.

  Options: `:trust` (PEM texts of CAs), `:cluster`, `:usage` (`:server` is who was dialled, or
  `:client`), `:crls` (PEM texts of revocation lists), `:now`.
  """
  @spec verify(iodata(), options()) :: {:ok, :merlon_pki.peer()} | error()
  def verify(chain, options), do: chain |> :merlon_pki.verify(Map.new(options)) |> result()

  @doc "What each certificate of a PEM text says; nothing of it is verified."
  @spec inspect(iodata()) :: {:ok, [:merlon_pki.info()]} | error()
  def inspect(pem), do: pem |> :merlon_pki.inspect() |> result()

  @doc "A key and a signing request (PKCS#10) for it. Options: `:cluster`, `:subject`, `:alg`, `:ips`."
  @spec csr(options()) :: {:ok, %{csr: String.t(), key: :merlon_pki.key()}} | error()
  def csr(options), do: options |> Map.new() |> :merlon_pki.csr() |> result()

  @doc "Whom a request asks to be; that its sender has the key is checked."
  @spec csr_identity(iodata()) :: {:ok, :merlon_pki.identity()} | error()
  def csr_identity(csr), do: csr |> :merlon_pki.csr_identity() |> result()

  @doc """
  A certificate for a request's key. All that it says comes from the options, nothing from the
  request; a request that asks for more is refused.

  Options: `:csr`, `:subject`, `:ips`, `:days` (90), `:now`.
  """
  @spec sign_csr(:merlon_pki.ca(), options()) :: {:ok, String.t()} | error()
  def sign_csr(ca, options), do: ca |> :merlon_pki.sign_csr(Map.new(options)) |> result()

  defp result({:ok, _} = ok), do: ok
  defp result({:error, reason}), do: {:error, %Merlon.Error{reason: reason}}
end
