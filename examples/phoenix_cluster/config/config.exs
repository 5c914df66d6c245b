import Config

config :phoenix, :json_library, JSON

config :shop, ShopWeb.Endpoint,
  adapter: Bandit.PhoenixAdapter,
  pubsub_server: Shop.PubSub,
  render_errors: [formats: [json: ShopWeb.Errors]]

# Without it a node that was started in another way than this release would only log an error.
config :merlon, require_carrier: true
