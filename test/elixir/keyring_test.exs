# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.KeyringTest do
  use ExUnit.Case, async: true

  alias Merlon.Keyring

  setup do
    dir =
      Path.join(
        System.tmp_dir!(),
        "merlon-ring-#{System.pid()}-#{System.unique_integer([:positive])}"
      )

    on_exit(fn -> File.rm_rf!(dir) end)
    {0, _, ""} = merlon(["init", "--secret", "shop", "--dir", dir])
    %{dir: dir}
  end

  defp merlon(args), do: :merlon_cli.run(Enum.map(args, &String.to_charlist/1))

  test "entries have names, times and a state, and no secret", %{dir: dir} do
    {0, _, ""} = merlon(["keyring", "--new", "--dir", dir, "--not-before", "2099-01-01"])
    assert {:ok, [later, now]} = Keyring.read(dir)
    assert %{state: :not_yet, not_before: ~U[2099-01-01 00:00:00Z]} = later
    assert %{state: :accepted, not_after: :never, kdf: :expand, created: %DateTime{}} = now
    assert now.id =~ ~r/^[0-9a-f]{16}$/
    keys = [:created, :id, :kdf, :not_after, :not_before, :state]
    assert now |> Map.keys() |> Enum.sort() == keys
  end

  test "what can't be read says what to do", %{dir: dir} do
    assert {:ok, :none} = Keyring.read(Path.join(dir, "nothing"))
    File.chmod!(Path.join(dir, "keyring"), 0o644)
    assert {:error, %Merlon.Error{} = error} = Keyring.read(dir)
    assert Exception.message(error) =~ "chmod 600"
  end

  test "a process that is no node has no keyring in use" do
    for result <- [Keyring.entries(), Keyring.derive("use", 32), Keyring.rotate()] do
      assert {:error, %Merlon.Error{reason: :not_distributed} = error} = result
      assert Exception.message(error) =~ "-proto_dist merlon"
    end
  end

  test "a node derives keys of its keyring", %{dir: dir} do
    name = "ring#{System.pid()}"
    paths = [Mix.Project.compile_path(), Path.join(:code.lib_dir(:elixir), "ebin")]
    paths = Enum.flat_map(paths, &[~c"-pa", String.to_charlist(&1)])
    args = [~c"-proto_dist", ~c"merlon", ~c"-merlon_dir", String.to_charlist(dir) | paths]

    {:ok, peer, _} =
      :peer.start(%{
        name: String.to_charlist(name),
        host: ~c"127.0.0.1",
        longnames: true,
        connection: :standard_io,
        args: args
      })

    on_node = fn function, args -> :peer.call(peer, Keyring, function, args) end

    try do
      assert {:ok, <<key::binary-size(64)>>} = on_node.(:derive, ["a", 64])
      assert {:ok, ^key} = on_node.(:derive, ["a", 64])
      assert {:ok, other} = on_node.(:derive, ["b", 64])
      assert other != key
      assert {:error, %Merlon.Error{reason: {:kdf, _}}} = on_node.(:derive, ["a", 8161])
      assert on_node.(:entries, []) == Keyring.read(dir)

      assert {:ok, [old]} = Keyring.read(dir)
      assert {:ok, id} = on_node.(:rotate, [[grace: 3600]])

      assert {:ok, [%{id: ^id, not_after: :never}, %{not_after: %DateTime{}} = ended]} =
               Keyring.read(dir)

      assert ended.id == old.id
      assert {:error, %Merlon.Error{} = error} = on_node.(:rotate, [[grace: 1, skew: 1]])
      assert Exception.message(error) =~ "10 seconds at least"
    after
      :peer.stop(peer)
    end
  end
end
