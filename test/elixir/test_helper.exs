ExUnit.start()

defmodule Merlon.TaskRun do
  # The exit code, standard output and standard error of a Mix task.
  def run(task, args) do
    me = self()

    error =
      ExUnit.CaptureIO.capture_io(:stderr, fn ->
        out =
          ExUnit.CaptureIO.capture_io(fn -> send(me, {:code, code(fn -> task.run(args) end)}) end)

        send(me, {:out, out})
      end)

    receive do
      {:code, code} -> receive(do: ({:out, out} -> {code, out, error}))
    end
  end

  defp code(fun) do
    fun.()
    0
  catch
    :exit, {:shutdown, code} -> code
  end
end
