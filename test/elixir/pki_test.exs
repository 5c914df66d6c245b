defmodule Merlon.PKITest do
  use ExUnit.Case, async: true

  alias Merlon.PKI

  test "what is issued is verified, for its cluster only" do
    {:ok, ca} = PKI.new_ca(cluster: "shop")
    {:ok, %{cert: cert, key: key}} = PKI.issue(ca, subject: :app@web1, days: 30)
    assert key.() =~ "BEGIN PRIVATE KEY"
    options = [trust: [ca.cert], cluster: "shop", usage: :server]
    assert {:ok, %{identity: {:node, "shop", "app", "web1"}}} = PKI.verify(cert, options)
    assert {:ok, [%{uris: ["spiffe://shop/node/web1/app"]}]} = PKI.inspect(cert)

    assert {:error, %Merlon.Error{} = error} =
             PKI.verify(cert, Keyword.put(options, :cluster, "other"))

    assert Exception.message(error) == "the certificate is of cluster shop, not other"
  end

  test "a request is signed for what the issuer says, and for nothing else" do
    {:ok, ca} = PKI.new_ca(cluster: "shop")
    {:ok, %{csr: csr}} = PKI.csr(cluster: "shop", subject: {:node, "app", "web1"})
    assert {:ok, {:node, "shop", "app", "web1"}} = PKI.csr_identity(csr)
    assert {:ok, cert} = PKI.sign_csr(ca, csr: csr, subject: :app@web1)
    assert {:ok, [%{is_ca: false}]} = PKI.inspect(cert)

    assert {:error, %Merlon.Error{reason: {:pki, :csr_name}}} =
             PKI.sign_csr(ca, csr: csr, subject: :app@web2)
  end
end
