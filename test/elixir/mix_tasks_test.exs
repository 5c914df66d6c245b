defmodule Merlon.MixTasksTest do
  use ExUnit.Case, async: false
  import Merlon.TaskRun

  alias Mix.Tasks.Merlon.{Csr, Doctor, Enroll, Explain, Gen, Init, Inspect, Join, Keyring}
  alias Mix.Tasks.Merlon.{Renew, Revoke, Revoked, Rotate, Shell, Token}

  setup do
    dir =
      Path.join(
        System.tmp_dir!(),
        "merlon-mix-#{System.pid()}-#{System.unique_integer([:positive])}"
      )

    on_exit(fn -> File.rm_rf!(dir) end)
    %{dir: dir}
  end

  test "init, gen.cert and inspect make a dir that nodes can use", %{dir: dir} do
    assert {0, out, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert out =~ "certificate authority of cluster shop"

    assert {0, out, ""} = run(Gen.Cert, ["app@web1", "--dir", dir, "--days", "30"])
    assert out =~ "-proto_dist merlon"
    assert {:ok, %{mode: mode}} = File.stat(Path.join(dir, "nodes/app@web1/key.pem"))
    assert Bitwise.band(mode, 0o777) == 0o600

    assert {0, out, ""} = run(Inspect, [dir])
    assert out =~ "node app@web1 of cluster shop"
    assert out =~ "expires in 30 days"

    {:ok, config} = :merlon_config.load(String.to_charlist(dir))

    assert {:ok, %{identity: {:node, "shop", "app", "web1"}}} =
             :merlon_identity.load(:app@web1, config)
  end

  test "shell is not misled by a folder that is called as merlon's might be", %{dir: dir} do
    assert {0, _, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert {0, _, ""} = run(Gen.Cert, ["127.0.0.1", "--cli", "operator", "--dir", dir])
    other = Path.join(dir, "ebin")
    File.mkdir_p!(other)
    Code.prepend_path(other)
    on_exit(fn -> Code.delete_path(other) end)

    assert {0, out, ""} = run(Shell, ["app@127.0.0.1", "--dir", dir])
    assert out =~ Mix.Project.compile_path()
    refute out =~ other
  end

  test "doctor passes a good dir and names what to mend in a bad one", %{dir: dir} do
    assert {0, _, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert {0, _, ""} = run(Gen.Cert, ["app@127.0.0.1", "--dir", dir])
    assert {0, out, ""} = run(Doctor, ["--dir", dir])
    assert out =~ ~r/^ok    identity    app@127.0.0.1, ends in/m
    assert {0, out, ""} = run(Doctor, ["--dir", dir, "--emit", "mix"])
    assert out =~ "-proto_dist merlon\n-merlon_dir #{dir}\n"
    File.chmod!(Path.join(dir, "nodes/app@127.0.0.1/key.pem"), 0o644)
    assert {1, out, ""} = run(Doctor, ["--dir", dir])
    assert out =~ "chmod 600"
  end

  test "renew gives a node its next certificate", %{dir: dir} do
    assert {0, _, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert {0, _, ""} = run(Gen.Cert, ["app@web1", "--dir", dir])
    before = File.read!(Path.join(dir, "nodes/app@web1/cert.pem"))
    assert {0, out, ""} = run(Renew, ["--dir", dir])
    assert out =~ "Renewed the certificate of app@web1"
    assert File.read!(Path.join(dir, "nodes/app@web1/cert.pem")) != before
    assert {1, "", error} = run(Renew, ["other@web1", "--dir", dir])
    assert error =~ "merlon cert other@web1"
  end

  test "explain says what stands in the way", %{dir: dir} do
    assert {0, _, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert {0, _, ""} = run(Gen.Cert, ["app@127.0.0.1", "--dir", dir])
    cookie = Path.join(dir, "cookie")
    File.write!(cookie, "secret")
    File.chmod!(cookie, 0o600)
    args = ["other@127.0.0.1", "--dir", dir, "--cookie-file", cookie, "--port", "1"]
    assert {1, out, ""} = run(Explain, args)
    assert out =~ ~r/ok +carrier +asked as app@127.0.0.1/
    assert out =~ "blocked: no connection to 127.0.0.1 port 1"
    assert {2, "", error} = run(Explain, [])
    assert error =~ "NODE is missing"
  end

  test "revoke writes the list that revoked reads", %{dir: dir} do
    assert {0, _, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert {0, _, ""} = run(Gen.Cert, ["app@web1", "--dir", dir])
    assert {0, out, ""} = run(Revoked, ["--dir", dir])
    assert out =~ "nothing is revoked"
    assert {0, out, ""} = run(Revoke, ["app@web1", "--dir", dir, "--reason", "superseded"])
    assert out =~ "Revocation list 1 has 1 of them"
    assert {0, out, ""} = run(Revoked, ["--dir", dir])
    assert out =~ ~r/superseded  app@web1$/m
    assert {1, "", error} = run(Revoke, ["other@web1", "--dir", dir])
    assert error =~ "serial number"
  end

  test "csr makes a key and a request, and never replaces a key unasked", %{dir: dir} do
    args = ["app@web1", "--dir", dir, "--cluster", "shop"]
    assert {0, out, ""} = run(Csr, args)
    assert out =~ "csr.pem"
    key = File.read!(Path.join(dir, "nodes/app@web1/key.pem"))
    csr = File.read!(Path.join(dir, "nodes/app@web1/csr.pem"))
    assert {:ok, {:node, "shop", "app", "web1"}} = Merlon.PKI.csr_identity(csr)
    assert {1, "", error} = run(Csr, args)
    assert error =~ "exists already"
    assert File.read!(Path.join(dir, "nodes/app@web1/key.pem")) == key
  end

  test "token and join: from a token to a node's dir", %{dir: dir} do
    [ca, joined] = for name <- ["ca", "joined"], do: Path.join(dir, name)
    assert {0, _, ""} = run(Init, ["--dir", ca, "--cluster", "shop"])

    {:ok, service, {_, port}} =
      :merlon_cli_enroll.start(String.to_charlist(ca), {127, 0, 0, 1}, 0, fn _ -> :ok end)

    assert {0, out, ""} = run(Token, ["app@web1", "--dir", ca, "--at", "127.0.0.1:#{port}"])
    [token | _] = String.split(out, "\n")
    assert {0, out, ""} = run(Join, [token, "--dir", joined])
    assert out =~ "Joined cluster shop as app@web1"
    assert {1, "", error} = run(Join, [token, "--dir", Path.join(dir, "again")])
    assert error =~ "mix merlon.join: the token was used before"
    assert {0, out, ""} = run(Token, ["--list", "--dir", ca])
    assert out =~ ~r/used .*app@web1/
    Process.unlink(service)
    Process.exit(service, :kill)
  end

  test "what is refused exits with 1 and changes nothing", %{dir: dir} do
    assert {0, _, ""} = run(Init, ["--dir", dir, "--cluster", "shop"])
    ca = File.read!(Path.join(dir, "ca/ca.key"))
    assert {1, "", error} = run(Init, ["--dir", dir, "--cluster", "shop"])
    assert error =~ "mix merlon.init: "
    assert error =~ "exists already"
    assert File.read!(Path.join(dir, "ca/ca.key")) == ca
    assert {1, _, ""} = run(Inspect, [Path.join(dir, "nothing")])
  end

  test "wrong usage exits with 2 and names the task", %{dir: dir} do
    for {task, name, args} <- [
          {Init, "mix merlon.init", ["--dir", dir]},
          {Gen.Cert, "mix merlon.gen.cert", ["--dri", dir, "a@b"]},
          {Inspect, "mix merlon.inspect", []},
          {Revoke, "mix merlon.revoke", ["--dir", dir]},
          {Revoked, "mix merlon.revoked", ["app@web1"]}
        ] do
      assert {2, "", error} = run(task, args)
      assert error =~ "#{name}: "
      assert error =~ "Try `#{name} --help`"
    end
  end

  test "each task has help and a line in mix help" do
    for {task, name} <- [
          {Init, "init"},
          {Gen.Cert, "gen.cert"},
          {Inspect, "inspect"},
          {Revoke, "revoke"},
          {Revoked, "revoked"},
          {Csr, "csr"},
          {Keyring, "keyring"},
          {Token, "token"},
          {Join, "join"},
          {Enroll, "enroll"},
          {Rotate, "rotate"}
        ] do
      assert {0, out, ""} = run(task, ["--help"])
      assert String.starts_with?(out, "Usage: mix merlon.#{name} ")
      assert is_binary(Mix.Task.shortdoc(task))
    end
  end
end
