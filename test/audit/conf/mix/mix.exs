defmodule Shop.MixProject do
  use Mix.Project

  def project do
    # cookie: "a comment"
    [
      app: :shop,
      #! cookie_literal high
      releases: [shop: [include_executables_for: [:unix], cookie: "q7Vd0ZtX3mBfL9wKc2RjYh5NsPgU8aEoTi4xMzWv6rC1"]],
      description: "how to set cookie: it is easy",
      session: [cookie_key: "_shop_key"]
    ]
  end
end
