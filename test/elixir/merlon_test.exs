defmodule MerlonTest do
  use ExUnit.Case, async: true

  test "a node without the carrier has no connections" do
    assert Merlon.connections() == []
  end

  test "a node without the carrier has no certificate to renew" do
    assert {:error, %Merlon.Error{reason: {:renew, :not_distributed}} = error} = Merlon.renew()
    assert Exception.message(error) =~ "no links over merlon"
  end

  test "a node without the carrier has nothing to reload" do
    assert {:error, %Merlon.Error{reason: :not_distributed} = error} = Merlon.reload()
    assert Exception.message(error) =~ "-proto_dist merlon"
  end

  test "a node without the carrier has counted nothing and says why it has no link" do
    assert %{links: 0, pending: 0, handshakes: %{accept: %{up: 0}}} = Merlon.stats()
    assert IO.iodata_to_binary(Merlon.metrics()) =~ ~r/^merlon_links 0$/m
    refute Merlon.encrypted?(:nobody@nowhere)

    assert %{verdict: :blocked, text: text, steps: [{:carrier, :failed, text}]} =
             Merlon.explain(:nobody@nowhere)

    assert text =~ "-proto_dist merlon"
  end

  test "errors say in one sentence what to do, whatever they are about" do
    for {reason, words} <- [
          {{:no_dir, [~c"/home/a/.config/merlon"]}, "merlon init"},
          {{:config, {"/m/merlon.config", 3, {:unknown_key, :clutser}}}, "merlon.config:3: "},
          {{:identity, {:no_trust, "/m/trust"}}, "ca.pem"},
          {{:file, {:too_open, "/m/key.pem", 0o644}}, "chmod 600 /m/key.pem"}
        ] do
      message = Exception.message(%Merlon.Error{reason: reason})
      assert message =~ words
      refute message =~ "\n"
    end
  end

  test "errors can be raised" do
    assert_raise Merlon.Error, ~r/chmod 600/, fn ->
      raise Merlon.Error, reason: {:file, {:too_open, "/m/key.pem", 0o644}}
    end
  end

  test "the application's metadata is that of merlon.app.src" do
    {:ok, [{:application, :merlon, source}]} = :file.consult("erlang_src/merlon.app.src")
    assert Application.spec(:merlon, :vsn) == source[:vsn]
    assert Application.spec(:merlon, :mod) == source[:mod]
    assert Application.spec(:merlon, :description) == source[:description]
    assert :merlon_dist in Application.spec(:merlon, :modules)
    assert Merlon in Application.spec(:merlon, :modules)
  end
end
