defmodule Merlon.TermTest do
  use ExUnit.Case, async: true

  doctest Merlon.Term

  defp bytes(term, opts \\ []), do: :erlang.term_to_binary(term, opts)

  test "what Elixir is made of comes through" do
    for term <- [
          %{"name" => "ä", list: [1, 2.5, nil, true], tuple: {:ok, ~c"chars"}},
          ~D[2026-11-27],
          ~U[2026-11-27 10:00:00Z],
          MapSet.new([1, 2]),
          1..100//3,
          10..1//-1,
          [key: :value],
          2 ** 2000
        ],
        opts <- [[], [:compressed]] do
      assert Merlon.Term.decode(bytes(term, opts)) == {:ok, term}
      assert Merlon.Term.decode!(bytes(term, opts), %{}) == term
    end
  end

  test "a range of any size is a few bytes, and is refused by its size" do
    assert {:ok, %{range: 9_999_999_999}} =
             Merlon.Term.scan(bytes(1..9_999_999_999), range: :infinity)

    assert {:ok, %{range: 34}} = Merlon.Term.scan(bytes(1..100//3))

    for term <- [1..9_999_999_999, [page: 0..10_000_000], %{{1, 2} => {1..-5_000_000//-1}}] do
      assert {:error, %Merlon.Error{reason: {:term, {:over, :range, 1_000_000}}} = error} =
               Merlon.Term.decode(bytes(term))

      assert Exception.message(error) =~ "raise `range`"
    end
  end

  test "functions are let in by name only" do
    for {fun, kind} <- [{fn -> :ok end, :funs}, {&String.length/1, :exports}] do
      assert {:error, %{reason: {:term, {:not_allowed, ^kind}}}} =
               Merlon.Term.decode(bytes([fun]))

      assert Merlon.Term.decode(bytes([fun]), allow: [kind]) == {:ok, [fun]}
    end
  end

  test "an atom bomb makes no atoms" do
    name = "merlon_elixir_#{System.unique_integer([:positive])}"
    atom = <<131, 119, byte_size(name), name::binary>>
    assert_raise Merlon.Error, ~r/new_atoms/, fn -> Merlon.Term.decode!(atom) end
    assert_raise ArgumentError, fn -> String.to_existing_atom(name) end
    assert Merlon.Term.decode!(atom, new_atoms: 1) == String.to_atom(name)
  end

  test "a budget's keys are checked, and the near miss is named" do
    assert {:error, error} = Merlon.Term.decode(bytes(1), new_atom: 1)
    assert error.reason == {:budget, {:unknown_key, :new_atom}}
    assert Exception.message(error) =~ "did you mean `new_atoms`?"
    assert Merlon.Term.scan(bytes(1), Merlon.Term.default_budget()) == Merlon.Term.scan(bytes(1))
  end
end
