import Config

# Tests are none of a node's that others reach.
#~ dist_interface
config :kernel, inet_dist_use_interface: {0, 0, 0, 0}
