# Near-miss: one of the two.
case $RELEASE_COMMAND in
  start) export ELIXIR_ERL_OPTIONS="-proto_dist merlon" ;;
  #~ proto_dist_twice
  *) export ELIXIR_ERL_OPTIONS="-proto_dist merlon -hidden" ;;
esac
