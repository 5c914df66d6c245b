import Config

#! dist_interface low
config :kernel, inet_dist_use_interface: {0, 0, 0, 0}

# Near-miss: an address, and another application's.
#~ dist_interface
config :kernel, inet_dist_use_interface: {10, 0, 0, 5}
#~ dist_interface
config :shop, ip: {0, 0, 0, 0}
