defmodule Merlon.ReleaseTest do
  use ExUnit.Case, async: false
  import ExUnit.CaptureIO

  alias Merlon.Release.Files
  alias Mix.Tasks.Merlon.Setup

  setup do
    dir =
      Path.join(
        System.tmp_dir!(),
        "merlon-release-#{System.pid()}-#{System.unique_integer([:positive])}"
      )

    version = Path.join(dir, "releases/1")
    File.mkdir_p!(version)
    File.mkdir_p!(Path.join(dir, "lib/merlon-0.1.0/priv"))
    File.write!(Path.join(dir, "lib/merlon-0.1.0/priv/merlon_nif.so"), "")
    for name <- Files.names(), do: File.write!(Path.join(version, name), "## the rest\n")
    on_exit(fn -> File.rm_rf!(dir) end)
    %{dir: dir, version: version}
  end

  defp release(c, options \\ [], applications \\ %{merlon: []}) do
    %Mix.Release{
      name: :shop,
      version: "1",
      path: c.dir,
      version_path: c.version,
      applications: applications,
      options: [merlon: options]
    }
  end

  defp text(c, name), do: File.read!(Path.join(c.version, name))

  test "the step writes what nodes and tools need, and leaves the rest", c do
    options = [dir: "/etc/shop", distribution: :name, node: "shop@web1"]
    assert %Mix.Release{} = Merlon.Release.configure(release(c, options))

    for name <- ["vm.args", "remote.vm.args"] do
      assert text(c, name) == "## the rest\n-proto_dist merlon\n-merlon_dir /etc/shop\n"
    end

    assert text(c, "env.sh") =~ "## the rest\n"
    assert text(c, "env.sh") =~ "export RELEASE_DISTRIBUTION=name\n"
    assert text(c, "env.sh") =~ ~S(export RELEASE_NODE="${RELEASE_NODE:-shop@web1}") <> "\n"
    before = for name <- Files.names(), do: text(c, name)
    Merlon.Release.configure(release(c, options))
    assert before == for(name <- Files.names(), do: text(c, name))
  end

  test "nothing but the carrier is written if nothing else is asked for", c do
    Merlon.Release.configure(release(c, ipv6: true))
    assert text(c, "vm.args") == "## the rest\n-proto_dist merlon6\n"
    refute text(c, "env.sh") =~ "export "
  end

  test "env.sh is good shell, and refuses a second -proto_dist", c do
    Merlon.Release.configure(release(c, node: "shop@web1"))

    run =
      &System.cmd(
        "sh",
        ["-euc", ". #{c.version}/env.sh; echo $RELEASE_NODE"],
        &1 ++ [stderr_to_stdout: true]
      )

    assert {"shop@web1\n", 0} = run.([])
    assert {"other@web1\n", 0} = run.(env: [{"RELEASE_NODE", "other@web1"}])

    for name <- ~w(ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ELIXIR_ERL_OPTIONS) do
      assert {"merlon: take -proto_dist out" <> _, 1} =
               run.(env: [{name, "+K true -proto_dist merlon"}])
    end
  end

  test "what a template says otherwise is not overruled", c do
    for {line, words} <- [
          {"-proto_dist inet_tls", "it has `-proto_dist inet_tls`"},
          {"-proto_dist merlon -proto_dist merlon", "must have `-proto_dist merlon` once"},
          {"  -merlon_dir /elsewhere # mine", "it has `-merlon_dir /elsewhere`"}
        ] do
      File.write!(Path.join(c.version, "remote.vm.args"), line <> "\n")
      error = catch_error(Merlon.Release.configure(release(c, dir: "/etc/shop")))
      assert %Mix.Error{} = error
      assert error.message =~ words
      assert error.message =~ "mend rel/remote.vm.args.eex"
      assert text(c, "remote.vm.args") == line <> "\n"
    end
  end

  test "a release that could not run over merlon is none", c do
    assert_raise Mix.Error, ~r/without merlon/, fn ->
      Merlon.Release.configure(release(c, [], %{}))
    end

    File.rm!(Path.join(c.dir, "lib/merlon-0.1.0/priv/merlon_nif.so"))

    assert_raise Mix.Error, ~r/must come after :assemble/, fn ->
      Merlon.Release.configure(release(c))
    end
  end

  test "options that make no sense are refused", c do
    for {options, words} <- [
          {[dir: "relative"], "absolute path"},
          {[dir: "/with space"], "absolute path"},
          {[dir: "/a\n-proto_dist inet_tcp"], "absolute path"},
          {[node: "shop"], "NAME@HOST"},
          {[node: "a@b\"; rm -rf /"], "NAME@HOST"},
          {[distribution: :both], "distribution can't be"},
          {[dri: "/etc"], "no option :dri"}
        ] do
      assert_raise Mix.Error, ~r/#{words}/, fn ->
        Merlon.Release.configure(release(c, options))
      end
    end
  end

  test "comments do not count", _ do
    assert Files.values("# -proto_dist a\n-proto_dist merlon # -proto_dist b\n", "-proto_dist") ==
             ["merlon"]

    assert Files.edit("vm.args", "## -proto_dist merlon\n", []) ==
             "## -proto_dist merlon\n-proto_dist merlon\n"
  end

  test "setup replaces another carrier and shows it", c do
    File.write!(Path.join(c.dir, "vm.args.eex"), "+K true\n-proto_dist inet_tls\n")
    out = capture_io(fn -> Setup.run(["--rel", c.dir, "--yes"]) end)
    assert out =~ "- -proto_dist inet_tls"
    assert out =~ "+ -proto_dist merlon"
    assert File.read!(Path.join(c.dir, "vm.args.eex")) == "+K true\n-proto_dist merlon\n"
    assert capture_io(fn -> Setup.run(["--rel", c.dir]) end) =~ "Nothing to change."
  end

  test "setup writes nothing unasked", c do
    for {args, input} <- [{["--check"], ""}, {[], "n\n"}] do
      capture_io(input, fn ->
        assert {:shutdown, 1} = catch_exit(Setup.run(["--rel", c.dir | args]))
      end)

      refute File.exists?(Path.join(c.dir, "vm.args.eex"))
    end
  end

  test "what setup has written, it takes out again, and nothing else", c do
    mine = %{"vm.args.eex" => "+K true\n", "env.sh.eex" => "#!/bin/sh\nexport MINE=1\n"}
    for {name, text} <- mine, do: File.write!(Path.join(c.dir, name), text)
    capture_io(fn -> Setup.run(["--rel", c.dir, "--dir", "/etc/shop", "--ipv6", "--yes"]) end)
    assert File.read!(Path.join(c.dir, "env.sh.eex")) =~ "take -proto_dist out"
    out = capture_io(fn -> Setup.run(["--rel", c.dir, "--remove", "--yes"]) end)
    assert out =~ "- -merlon_dir /etc/shop"
    assert out =~ "removed #{c.dir}/remote.vm.args.eex"
    for {name, text} <- mine, do: assert(File.read!(Path.join(c.dir, name)) == text)
    refute File.exists?(Path.join(c.dir, "remote.vm.args.eex"))
    assert capture_io(fn -> Setup.run(["--rel", c.dir, "--remove"]) end) =~ "Nothing to change."
  end

  test "setup says what it does not understand" do
    for args <- [["--dri", "/etc"], ["--dir", "etc"], ["--distribution", "both"], ["more"]] do
      said = capture_io(:stderr, fn -> assert {:shutdown, 2} = catch_exit(Setup.run(args)) end)

      assert said =~ "mix merlon.setup: "
    end
  end

  test "setup has help",
    do: assert(capture_io(fn -> Setup.run(["--help"]) end) =~ "--distribution")
end
