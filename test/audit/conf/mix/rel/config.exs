environment :prod do
  #! cookie_literal high
  set cookie: :"q7Vd0ZtX3mBfL9wKc2RjYh5NsPgU8aEoTi4xMzWv6rC1"
  set cookie: System.get_env("COOKIE")
end
