[
  inputs: ["mix.exs", ".formatter.exs", "elixir_lib/**/*.ex", "test/elixir/**/*.{ex,exs}"],
  line_length: 98
]
