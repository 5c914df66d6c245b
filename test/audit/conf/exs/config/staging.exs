import Config

#! dist_interface low
config :kernel, inet_dist_use_interface: {0, 0, 0, 0}
