defmodule Merlon.KDFTest do
  use ExUnit.Case, async: true

  alias Merlon.KDF

  test "a password is good for its hash only" do
    {:ok, phc} = KDF.hash("secret")
    assert KDF.verify("secret", phc)
    refute KDF.verify("Secret", phc)
    refute KDF.verify("secret", nil)
    refute KDF.needs_rehash(phc)
    assert KDF.needs_rehash(phc, %{KDF.defaults() | passes: 4})
    assert {:error, %Merlon.Error{reason: {:kdf, :wrong_password}}} = KDF.check("Secret", phc)
  end

  test "keys are those of OTP, and secrets are keys" do
    weak = %{algorithm: :pbkdf2_sha256, iterations: 1000}
    key = :crypto.pbkdf2_hmac(:sha256, "p", "salt", 1000, 32)
    assert KDF.derive(weak, "p", "salt", 32, danger_weak: true) == {:ok, key}
    {:ok, prk} = KDF.hkdf_extract(:sha512, "ikm", "salt", :secret)
    assert KDF.hkdf_expand(:sha512, prk, "i", 32) == KDF.hkdf(:sha512, "ikm", "salt", "i", 32)
    assert KDF.hmac(:sha256, KDF.secret("k"), "d") == :crypto.mac(:hmac, :sha256, "k", "d")
    assert KDF.digest(:sha256, "d") == :crypto.hash(:sha256, "d")
    assert KDF.digest(:sha256, "d", :hex) == Base.encode16(KDF.digest(:sha256, "d"), case: :lower)
    assert KDF.equal("a", KDF.secret("a"))
  end

  test "refusals say in words what to do" do
    {:error, error} = KDF.derive(%{KDF.defaults() | memory: 8}, "p", "0123456789abcdef", 32)
    assert Exception.message(error) =~ "OWASP"
    assert {:error, %Merlon.Error{}} = KDF.calibrate(milliseconds: 1)
  end
end
