%% SPDX-License-Identifier: Apache-2.0
%% Part of merlon_nif: a new root in the place of an old one (native/nif/src/roots.rs).

-type stage() :: trust | issue | finish | back | undo.
%% Roots are named by the SHA-256 of their certificates, in hex; `cert` is the new one's, PEM.
-type statement() :: #{cluster := binary(), sequence := non_neg_integer(), stage := stage(),
                       old := binary(), new := binary(), cert := binary()}.

%% A statement of the two roots whose certificates and keys (PEM) these are.
-spec rotation_say(#{cluster := binary(), sequence := pos_integer(), stage := stage(), old_cert := binary(),
                     old_key := binary(), new_cert := binary(), new_key := binary()}) ->
          {ok, binary()} | {error, {pki, pki_reason()}}.
rotation_say(_Args) -> not_loaded().

%% What a statement says, whoever has said it.
-spec rotation_read(binary()) -> {ok, statement()} | {error, {pki, pki_reason()}}.
rotation_read(_Said) -> not_loaded().

%% The same, if its old root is in Trust (PEM texts), both roots have signed it as they must, it is for that cluster,
%% and newer than all that are Known of that root (0: none).
-spec rotation_check(Said :: binary(), Trust :: [binary()], Cluster :: binary(), Known :: non_neg_integer(),
                     Now :: integer()) -> {ok, statement()} | {error, {pki, pki_reason()}}.
rotation_check(_Said, _Trust, _Cluster, _Known, _Now) -> not_loaded().

%% The certificates of a PEM text but for that one, and whether it was there.
-spec pki_without(Pem :: binary(), Sha256 :: binary()) -> {ok, binary(), boolean()} | {error, {pki, pki_reason()}}.
pki_without(_Pem, _Sha256) -> not_loaded().

%% The SHA-256 of each trust anchor in use, hex.
-spec identity_anchors(identity()) -> [binary()].
identity_anchors(_Identity) -> not_loaded().
