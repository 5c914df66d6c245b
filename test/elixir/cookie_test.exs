# SPDX-License-Identifier: Apache-2.0
defmodule Merlon.CookieTest do
  use ExUnit.Case, async: true

  test "a known cookie is weak, and an unreadable file is an error with a fix" do
    assert %{class: :known, weak: true} = Merlon.Cookie.analyse("monster")
    assert {:error, %Merlon.Error{} = error} = Merlon.Cookie.read("/nonexistent/cookie")
    assert Exception.message(error) =~ "can't be read"
  end

  test "the seed of one of OTP's is only given on request" do
    assert %{class: :otp, seed: seed} = Merlon.Cookie.analyse("NDZZKSSLLQEPDAGPLIGG")
    assert seed.() == 515_646_815
  end
end
