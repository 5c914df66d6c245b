import Config

config :shop, dns: System.get_env("SHOP_DNS", "shop.internal")

config :shop, ShopWeb.Endpoint,
  server: true,
  http: [ip: {127, 0, 0, 1}, port: String.to_integer(System.get_env("PORT", "4000"))],
  secret_key_base: System.fetch_env!("SECRET_KEY_BASE")

# A setting of merlon that is followed while the node runs may stand here too.
config :merlon, grace: 60
