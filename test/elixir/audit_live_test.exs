# SPDX-License-Identifier: Apache-2.0
# `mix merlon.audit --node` and `--wire` against real nodes: exit codes, JSON, the table.
defmodule Merlon.AuditLiveTest do
  use ExUnit.Case, async: false
  import ExUnit.CaptureIO

  alias Mix.Tasks.Merlon.{Audit, Gen, Init}

  @cookie "merlontest"

  setup_all do
    dir = Path.join(System.tmp_dir!(), "merlon-live-#{System.pid()}")
    File.mkdir_p!(dir)
    before = for name <- ["ERL_EPMD_PORT", "ERL_EPMD_ADDRESS"], do: {name, System.get_env(name)}
    port = free_port()
    System.put_env([{"ERL_EPMD_PORT", "#{port}"}, {"ERL_EPMD_ADDRESS", "127.0.0.1"}])
    epmd = Port.open({:spawn_executable, epmd()}, [:binary])

    on_exit(fn ->
      File.rm_rf!(dir)
      System.put_env(Map.new(before))
    end)

    until(fn -> match?({:ok, _}, names(port)) end)
    {:os_pid, pid} = Port.info(epmd, :os_pid)
    on_exit(fn -> System.cmd("kill", ["#{pid}"]) end)
    cookie = Path.join(dir, "cookie")
    File.write!(cookie, @cookie)
    File.chmod!(cookie, 0o600)
    %{dir: dir, cookie: cookie}
  end

  # Not those of the epmd that this VM was started beside.
  defp names(port), do: :merlon_wire_epmd.names({127, 0, 0, 1}, port, 1000)

  defp epmd do
    System.find_executable("epmd") ||
      Path.wildcard("#{:code.root_dir()}/erts-*/bin/epmd") |> hd()
  end

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :ok = :gen_tcp.close(socket)
    port
  end

  defp until(fun, left \\ 100) do
    cond do
      fun.() -> :ok
      left > 0 -> Process.sleep(50) && until(fun, left - 1)
    end
  end

  # A node, as its test has it: name and port.
  defp node(base, args) do
    name = "#{base}#{System.pid()}"
    ebin = Mix.Project.compile_path()

    {:ok, peer, node} =
      :peer.start(%{
        name: String.to_charlist(name),
        host: ~c"127.0.0.1",
        longnames: true,
        connection: :standard_io,
        args: Enum.map(args ++ ["-pa", ebin], &String.to_charlist/1)
      })

    on_exit(fn -> :peer.stop(peer) end)
    {:ok, names} = names(:merlon_wire_epmd.port())
    {^name, port} = List.keyfind(names, name, 0)
    {Atom.to_string(node), port}
  end

  defp audit(args), do: Merlon.TaskRun.run(Audit, args)

  test "--node of a plain node: 1 and what is wrong, 0 and 2", %{cookie: cookie} do
    {node, _} = node("plain", ["-setcookie", @cookie])
    args = ["--node", node, "--over", "inet_tcp", "--cookie", cookie]

    assert {1, text, ""} = audit(args)
    assert text =~ ~r/^#{node} +[0-9.]+ +- +inet_tcp +normal/m
    assert text =~ "1 node scanned"
    refute text =~ @cookie

    assert {1, json, ""} = audit(args ++ ["--format", "json", "--only", "live_listener"])
    assert json =~ ~s("rule":"live_listener")
    assert json =~ ~s("nodes":[{"node":"#{node}")

    assert {0, text, ""} = audit(args ++ ["--only", "global_resolver"])
    assert text =~ "1 node scanned"

    assert {2, "", error} = audit(["--node", "nobody@127.0.0.1" | tl(tl(args))])
    assert error =~ "nobody@127.0.0.1"
    assert {2, "", error} = audit(args ++ ["--wire", "127.0.0.1"])
    assert error =~ "only one of --node, --wire and --bait"
  end

  test "--node of a merlon node: its carrier in the table, nothing severe", %{dir: dir} do
    merlon = Path.join(dir, "merlon")
    name = "walled#{System.pid()}@127.0.0.1"

    capture_io(fn ->
      Init.run(["--dir", merlon, "--cluster", "shop"])
      Gen.Cert.run([name, "--dir", merlon])
      Gen.Cert.run(["127.0.0.1", "--cli", "operator", "--dir", merlon])
    end)

    {^name, _} =
      node("walled", ["-proto_dist", "merlon", "-merlon_dir", merlon, "-setcookie", @cookie])

    cookie = Path.join(dir, "cookie")
    args = ["--node", name, "--dir", merlon, "--cookie", cookie, "--fail-on", "high"]
    assert {0, text, ""} = audit(args ++ ["--skip", "live_epmd"])
    assert text =~ ~r/^#{name} +[0-9.]+ +[0-9.-]+ +merlon +normal +TLS 1\.3/m
    assert {0, json, ""} = audit(args ++ ["--skip", "live_epmd", "--format", "json"])
    assert json =~ ~s("carrier":"merlon")
  end

  test "--wire: 1 at a plain node, 0 where that is below --fail-on, 2 where nobody listens" do
    {_, port} = node("seen", ["-setcookie", @cookie])
    at = "127.0.0.1:#{port}"

    assert {1, text, ""} = audit(["--wire", at])
    assert text =~ "1 port scanned: 0 critical, 1 high"
    assert {1, json, ""} = audit(["--wire", at, "--format", "json"])
    assert json =~ ~s("rule":"wire_plain")
    assert json =~ ~s("scanned":{"port":1})
    assert {0, _, ""} = audit(["--wire", at, "--fail-on", "critical"])

    assert {2, json, ""} = audit(["--wire", "127.0.0.1:#{free_port()}", "--format", "json"])
    assert json =~ ~s("rule":"unscanned")
    assert {2, "", error} = audit(["--wire", "a:b"])
    assert error =~ "--wire wants HOST"
  end
end
