# Tricky: two variables of one VM.
ERL_AFLAGS='-proto_dist merlon'
#! proto_dist_twice critical
export ERL_ZFLAGS="$ERL_ZFLAGS -proto_dist merlon"
