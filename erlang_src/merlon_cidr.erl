%% SPDX-License-Identifier: Apache-2.0
%% Networks in CIDR notation (RFC 4632, RFC 4291 2.3): "10.0.0.0/8", "2001:db8::/32", or one address. An
%% IPv4 address that comes in IPv6's clothes (::ffff:10.0.0.1, RFC 4291 2.5.5.2) counts as IPv4 throughout.
%% Pure.
-module(merlon_cidr).

-export([parse/1, member/2, any/0, loopback/0, address/1, plain/1]).
-export_type([cidr/0]).

%% Width of an address, and the first bits of those that belong to it.
-type cidr() :: {32 | 128, bitstring()}.

%% `error`: no network, or one with bits behind its prefix ("10.0.0.1/8"), which is a slip.
-spec parse(binary()) -> {ok, cidr()} | error.
parse(Text) ->
    case binary:split(Text, <<"/">>) of
        [Address] -> network(address(Address), all);
        [Address, Bits] -> network(address(Address), bits(Bits))
    end.

-spec member(inet:ip_address(), [cidr()]) -> boolean().
member(Ip, Cidrs) ->
    Bits = to_bits(plain(Ip)),
    Width = bit_size(Bits),
    lists:any(fun({W, Prefix}) ->
                      Len = bit_size(Prefix),
                      W =:= Width andalso begin <<Start:Len/bits, _/bits>> = Bits, Start =:= Prefix end
              end, Cidrs).

%% Every address there is.
-spec any() -> [cidr()].
any() -> [{32, <<>>}, {128, <<>>}].

-spec loopback() -> [cidr()].
loopback() -> [{32, <<127>>}, {128, <<1:128>>}].

%% A numeric address and nothing else: no name, no zone, no short form.
-spec address(binary()) -> {ok, inet:ip_address()} | error.
address(Text) ->
    case re:run(Text, "\\A[0-9a-fA-F.:]{2,45}\\z", [{capture, none}]) of
        match -> parsed(inet:parse_strict_address(binary_to_list(Text)));
        nomatch -> error
    end.

parsed({ok, Ip}) -> {ok, Ip};
parsed({error, _}) -> error.

%% The IPv4 address in an IPv6 one that is nothing else.
-spec plain(inet:ip_address()) -> inet:ip_address().
plain({0, 0, 0, 0, 0, 16#FFFF, High, Low}) -> {High bsr 8, High band 255, Low bsr 8, Low band 255};
plain(Ip) -> Ip.

bits(Text) ->
    case re:run(Text, "\\A(0|[1-9][0-9]{0,2})\\z", [{capture, none}]) of
        match -> binary_to_integer(Text);
        nomatch -> error
    end.

network({ok, Ip}, all) -> {ok, mapped(to_bits(Ip))};
network({ok, Ip}, Len) when is_integer(Len) -> prefix(to_bits(Ip), Len);
network(_, _) -> error.

prefix(Bits, Len) when Len =< bit_size(Bits) ->
    Left = bit_size(Bits) - Len,
    case Bits of
        <<Prefix:Len/bits, 0:Left>> -> {ok, with_width(bit_size(Bits), Prefix)};
        _ -> error
    end;
prefix(_, _) -> error.

mapped(Bits) -> with_width(bit_size(Bits), Bits).

with_width(128, <<0:80, 16#FFFF:16, V4/bits>>) -> {32, V4};
with_width(Width, Prefix) -> {Width, Prefix}.

to_bits({A, B, C, D}) -> <<A, B, C, D>>;
to_bits({A, B, C, D, E, F, G, H}) -> <<A:16, B:16, C:16, D:16, E:16, F:16, G:16, H:16>>.
