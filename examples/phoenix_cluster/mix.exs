defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [
      app: :shop,
      version: "0.1.0",
      elixir: "~> 1.18",
      deps: deps(),
      releases: [
        shop: [
          steps: [:assemble, &Merlon.Release.configure/1],
          merlon: [distribution: :name]
        ]
      ]
    ]
  end

  def application do
    [mod: {Shop.Application, []}, extra_applications: [:logger]]
  end

  # A folder with sources in the place of hex, for where hex can't be reached.
  defp deps do
    case System.get_env("SHOP_SOURCES") do
      nil ->
        [
          {:phoenix, "~> 1.7"},
          {:bandit, "~> 1.5"},
          {:dns_cluster, "~> 0.2"},
          {:merlon, "~> 0.1"}
        ]

      folder ->
        for name <- File.ls!(folder) do
          {String.to_atom(name), path: Path.join(folder, name), override: true}
        end
    end
  end
end
