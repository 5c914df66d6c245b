# SPDX-License-Identifier: Apache-2.0
defmodule Merlon do
  @moduledoc """
  Secures the Erlang distribution: every link of the node is mutual TLS 1.3, bound to node names.

  The carrier itself is Erlang and Rust and runs before Elixir does; a node uses it when it is
  started with `-proto_dist merlon`. This module is the Erlang module `:merlon` for Elixir.

      mix merlon.init --cluster shop
      mix merlon.gen.cert app@host
      elixir --sname app --erl "-pa $PWD/_build/dev/lib/merlon/ebin -proto_dist merlon" \\
        -S mix run --no-halt

  (The distribution starts before mix sets the code path, hence `-pa`. A release needs none.)
  """

  @typedoc "One link: who is at the other end, how it is secured, what went through."
  @type connection :: %{
          required(:node) => node(),
          required(:direction) => :dial | :accept,
          required(:peer) => {:inet.ip_address(), :inet.port_number()} | nil,
          required(:local) => {:inet.ip_address(), :inet.port_number()} | nil,
          required(:identity) => tuple(),
          required(:fingerprint) => String.t(),
          required(:not_after) => DateTime.t(),
          required(:since) => DateTime.t(),
          optional(atom()) => term()
        }

  @doc """
  Every link of this node that runs over merlon, empty if there is none.

  Beside the keys of `t:connection/0` each has `tls_version`, `cipher_suite`,
  `key_exchange_group`, and counters: `frames_in`, `frames_out`, `bytes_in`, `bytes_out`,
  `records_in`, `records_out`, `key_updates_in`, `key_updates_out`, `unsent`, the bytes that wait
  for the peer to read them, and `buffers`, the bytes of native memory for those and for a record that has come in part.
  A big message counts by its fragments on the way out and whole on the way in.
  """
  @spec connections() :: [connection()]
  def connections do
    Enum.map(:merlon.connections(), &connection/1)
  end

  @doc """
  Looks at the files of the merlon dir at once; the node does it by itself every 2 seconds.

  Certificate and key, trust, revocation lists and `merlon.config` are taken together or not at all:
  with an error all stays as it was. `{:ok, :unchanged}` says that there was nothing new. When this
  returns, links whose peer would not be accepted any more have been told to close.
  """
  @spec reload() :: {:ok, :reloaded | :unchanged} | {:error, Merlon.Error.t()}
  def reload do
    with {:error, reason} <- :merlon.reload(), do: {:error, %Merlon.Error{reason: reason}}
  end

  @doc """
  Gets this node's next certificate from a node that holds the CA's key, and uses it.

  The node does it by itself at two thirds of the certificate's life. `issuer` is the node that gave it.
  """
  @spec renew() ::
          {:ok, %{sha256: String.t(), not_after: DateTime.t(), issuer: node()}}
          | {:error, Merlon.Error.t()}
  def renew do
    case :merlon.renew() do
      {:ok, %{not_after: not_after} = renewed} ->
        {:ok, %{renewed | not_after: DateTime.from_unix!(not_after)}}

      {:error, reason} ->
        {:error, %Merlon.Error{reason: reason}}
    end
  end

  @doc """
  What this node's carrier has counted since the node started.

  `handshakes` by side (`:accept`, `:dial`), `up` or `failed` by the phase reached; `refusals` by reason
  and `events` by name, both fixed sets of words; `pending` incoming handshakes under way and `evicted`
  ones, which gave way; `links`, and frames, bytes, records and key updates of all links so far. Totals
  never go back while the node runs. All zero without the carrier.
  """
  @spec stats() :: %{atom() => term()}
  def stats, do: :merlon.stats()

  @doc """
  The same as Prometheus' text format 0.0.4, with the ends of certificates; serve it under `/metrics` as
  `text/plain; version=0.0.4`.
  """
  @spec metrics() :: iodata()
  def metrics, do: :merlon.metrics()

  @doc """
  Whether there is a link to `node` and it runs over merlon: TLS 1.3, mutual, bound to the name.

  `false` for this node itself, to which there is no link.
  """
  @spec encrypted?(node()) :: boolean()
  def encrypted?(node), do: :merlon.is_encrypted(node)

  @typedoc "Why there is a link, or none. The last of the steps is the one that `text` is about."
  @type explanation :: %{
          node: node(),
          verdict: :linked | :open | :blocked,
          text: String.t(),
          steps: [{atom(), :ok | :failed, String.t()}]
        }

  @doc """
  Why there is a link to `node`, or none, and how to mend it in one sentence.

  Takes the steps of dialling it up to where the two nodes would link. Makes no link and disturbs none;
  the peer logs `probed`, or the refusal that a real attempt would be.
  """
  @spec explain(node()) :: explanation()
  def explain(node), do: :merlon.explain(node)

  defp connection(%{peer: peer, local: local, not_after: not_after, since: since} = link) do
    %{
      link
      | peer: unless(peer == :undefined, do: peer),
        local: unless(local == :undefined, do: local),
        not_after: DateTime.from_unix!(not_after),
        since: DateTime.from_unix!(since)
    }
  end
end
