#! proto_dist_twice critical
export ERL_FLAGS="-proto_dist merlon -proto_dist merlon"
