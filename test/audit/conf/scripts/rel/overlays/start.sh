#!/bin/sh
# Tricky: the program in a variable, a carrier that is plain TCP.
#! plain_dist high
exec ${ERL} -sname shop -proto_dist inet_tcp -kernel inet_dist_use_interface '{10,0,0,5}'
#! epmd_open medium
/usr/bin/epmd -daemon
