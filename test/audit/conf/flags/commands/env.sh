# Near-miss: the command has its own args file. Tricky: exec and a path.
erl -args_file /etc/shop/vm.args -name x@y.example.com
#! plain_dist high, dist_interface low, cookie_argv medium
exec /usr/lib/erlang/bin/erl -noshell -name x@y.example.com -setcookie "$(cat /run/cookie)"
