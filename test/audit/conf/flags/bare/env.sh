#! dist_flags high
export ELIXIR_ERL_OPTIONS="-proto_dist inet_tls"
