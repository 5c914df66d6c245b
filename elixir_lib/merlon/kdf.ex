# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.KDF do
  @moduledoc """
  Keys from keys (HKDF), keys and hashes from passwords (Argon2id, scrypt, PBKDF2), HMAC, digests,
  and comparison in constant time: the Erlang module `:merlon_kdf` for Elixir.

      {:ok, phc} = Merlon.KDF.hash(password)
      true = Merlon.KDF.verify(password, phc)

  Keys and passwords are iodata or a `t:secret/0`: bytes that stay in the native library, that no
  function gives back, and that are wiped when the last reference is gone. `{:secret, length}` as
  output gives such a one.

  Errors are `{:error, Merlon.Error.t()}`, whose message says what to do.
  """

  @type hash :: :merlon_kdf.hash()
  @type secret :: :merlon_kdf.secret()
  @type key :: :merlon_kdf.key()
  @type output :: :merlon_kdf.output()
  @type params :: :merlon_kdf.params()
  @type result(t) :: {:ok, t} | {:error, Merlon.Error.t()}

  @doc """
  HKDF (RFC 5869) of key material that is random enough, not of a password. `info` says what the
  key is for. Gives at most 255 times the length of the hash.
  """
  @spec hkdf(hash(), key(), key(), iodata(), output()) :: result(binary() | secret())
  def hkdf(hash, ikm, salt, info, output),
    do: result(:merlon_kdf.hkdf(hash, ikm, salt, info, output))

  @doc "HKDF-Extract: a key as long as the hash, as a binary or as a secret."
  @spec hkdf_extract(hash(), key(), key(), :binary | :secret) :: result(binary() | secret())
  def hkdf_extract(hash, ikm, salt, as \\ :binary),
    do: result(:merlon_kdf.hkdf_extract(hash, ikm, salt, as))

  @doc "HKDF-Expand of a key that is at least as long as the hash."
  @spec hkdf_expand(hash(), key(), iodata(), output()) :: result(binary() | secret())
  def hkdf_expand(hash, prk, info, output),
    do: result(:merlon_kdf.hkdf_expand(hash, prk, info, output))

  @doc """
  A key of 16 to 1024 bytes from a password. Costs below OWASP's minimum and salts of less than 16
  bytes are refused; `danger_weak: true` lets them through, for keys that others have defined.
  """
  @spec derive(params(), key(), iodata(), output(), keyword()) :: result(binary() | secret())
  def derive(params, password, salt, output, options \\ []),
    do: result(:merlon_kdf.derive(params, password, salt, output, Map.new(options)))

  @doc """
  The strongest costs that stay within `:milliseconds` and `:memory` (KiB, 64 MiB if not given) on
  this machine, for `:algorithm` (`:argon2id` if not given). Takes some times as long.
  """
  @spec calibrate(keyword()) :: result(params())
  def calibrate(goal), do: result(:merlon_kdf.calibrate(Map.new(goal)))

  @doc "What `hash/1` uses: Argon2id, 64 MiB, 3 passes (RFC 9106 section 4), one lane."
  @spec defaults() :: params()
  defdelegate defaults, to: :merlon_kdf

  @doc "A PHC string with a new random salt, to be stored and given to `verify/2`."
  @spec hash(key(), params()) :: result(String.t())
  def hash(password, params \\ :merlon_kdf.defaults()),
    do: result(:merlon_kdf.hash(password, params))

  @doc """
  Whether `phc` is the hash of `password`; false also if it can't be checked (`check/2` says why).
  With `nil`, when there is no such user, it takes as long and says false.
  """
  @spec verify(key(), iodata() | nil) :: boolean()
  def verify(password, nil), do: :merlon_kdf.verify(password, :undefined)
  def verify(password, phc), do: :merlon_kdf.verify(password, phc)

  @doc "As `verify/2`, with the reason."
  @spec check(key(), iodata()) :: :ok | {:error, Merlon.Error.t()}
  def check(password, phc), do: result(:merlon_kdf.check(password, phc))

  @doc "Whether the password should be hashed anew at the next login."
  @spec needs_rehash(iodata(), params()) :: boolean()
  def needs_rehash(phc, params \\ :merlon_kdf.defaults()),
    do: :merlon_kdf.needs_rehash(phc, params)

  @doc "HMAC (RFC 2104)."
  @spec hmac(hash(), key(), iodata()) :: binary()
  defdelegate hmac(hash, key, data), to: :merlon_kdf

  @doc "The hash of `data`, as bytes, in hexadecimal or in base64."
  @spec digest(hash(), iodata(), :raw | :hex | :base64) :: binary()
  def digest(hash, data, encoding \\ :raw), do: :merlon_kdf.digest(hash, data, encoding)

  @doc "Whether both are the same bytes, in a time that depends on their lengths alone."
  @spec equal(key(), key()) :: boolean()
  defdelegate equal(a, b), to: :merlon_kdf

  @doc "Takes charge of these bytes. No function gives them back."
  @spec secret(iodata()) :: secret()
  defdelegate secret(bytes), to: :merlon_kdf

  defp result({:error, reason}), do: {:error, %Merlon.Error{reason: reason}}
  defp result(good), do: good
end
