#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/guides/external-ca.md: its OpenSSL commands as they stand there, and files as step-ca and spiffe-helper leave them,
# the latter's rewritten while the node runs. Two nodes of each link, are known by their certificates' names, and refuse a
# node whose certificate is for another.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/guide.sh"
guide=$root/docs/guides/external-ca.md
ebin=$root/_build/default/lib/merlon/ebin
host=127.0.0.1
export PATH=$root/bin:$PATH

# ---- plain OpenSSL ----

# Each node has a dir of its own, as on a machine of its own.
openssl_node() {
    local node=$1 dir=$tmp/$1
    follow openssl-node "$tmp" &&
        cp "$dir/nodes/$node/csr.pem" "$tmp/ca-host/csr.pem" && follow openssl-sign "$tmp/ca-host" &&
        openssl verify -x509_strict -purpose sslserver -CAfile "$tmp/ca-host/ca/ca.pem" "$tmp/ca-host/cert.pem" &&
        mkdir -p "$tmp/came" && cp "$tmp/ca-host/cert.pem" "$tmp/ca-host/ca/ca.pem" "$tmp/came/" &&
        follow openssl-place "$tmp/came"
}

# ---- as other tools leave their files ----

# leaf FILE NODE SEC1: a key and a certificate below the intermediate CA of $pki.
leaf() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.sec1" &&
        if [ "$3" = sec1 ]; then mv "$1.sec1" "$1.key"; else openssl pkcs8 -topk8 -nocrypt -in "$1.sec1" -out "$1.key"; fi &&
        printf '%s\n' '[leaf]' 'keyUsage = critical, digitalSignature' 'extendedKeyUsage = serverAuth, clientAuth' \
            'subjectKeyIdentifier = hash' 'authorityKeyIdentifier = keyid' \
            "subjectAltName = URI:spiffe://shop/node/${2#*@}/${2%@*}" >"$1.ext" &&
        openssl req -new -key "$1.key" -subj "/CN=${2%@*}" -out "$1.csr" &&
        openssl x509 -req -in "$1.csr" -CA "$pki/mid.pem" -CAkey "$pki/mid.key" -CAcreateserial -days 1 -sha256 \
            -extfile "$1.ext" -extensions leaf -out "$1.crt"
}

# A root and an intermediate CA, as step-ca has them.
two_cas() {
    pki=$1
    mkdir -p "$pki" &&
        printf '%s\n' '[mid]' 'basicConstraints = critical, CA:TRUE, pathlen:0' 'keyUsage = critical, keyCertSign, cRLSign' \
            'subjectKeyIdentifier = hash' 'authorityKeyIdentifier = keyid' >"$pki/mid.ext" &&
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/root.key" -out "$pki/root.pem" \
            -subj '/O=shop/CN=shop Root CA' -days 30 -addext 'keyUsage = critical, keyCertSign, cRLSign' &&
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/mid.key" -out "$pki/mid.csr" \
            -subj '/O=shop/CN=shop Intermediate CA' &&
        openssl x509 -req -in "$pki/mid.csr" -CA "$pki/root.pem" -CAkey "$pki/root.key" -CAcreateserial -days 30 -sha256 \
            -extfile "$pki/mid.ext" -extensions mid -out "$pki/mid.pem"
}

# place DIR NODE LEAF: leaf and intermediate in one file.
place() {
    mkdir -p "$1/nodes/$2" "$1/trust" && echo '{cluster, "shop"}.' >"$1/merlon.config" &&
        cat "$3.crt" "$pki/mid.pem" >"$1/nodes/$2/cert.pem" &&
        install -m 600 "$3.key" "$1/nodes/$2/key.pem"
}

step_node() {
    leaf "$pki/step-$1" "$1" sec1 && grep -q 'EC PRIVATE KEY' "$pki/step-$1.key" &&
        place "$tmp/$1" "$1" "$pki/step-$1" && cp "$pki/root.pem" "$tmp/$1/trust/root_ca.pem" && merlon inspect "$tmp/$1"
}

# Two SVIDs, of which the first is in place.
spiffe_node() {
    leaf "$pki/old-$1" "$1" pkcs8 && leaf "$pki/new-$1" "$1" pkcs8 &&
        place "$tmp/$1" "$1" "$pki/old-$1" && cp "$pki/root.pem" "$tmp/$1/trust/bundle.pem" && merlon inspect "$tmp/$1"
}

# ---- nodes ----

# boot NODE DIR [ERLANG]: becomes the node.
boot() {
    exec erl -noshell -noinput -name "$1" -setcookie external -pa "$ebin" "$tmp" -proto_dist merlon -merlon_dir "$2" \
        ${3:+-eval "$3"}
}

# answers NODE: whether epmd knows it.
answers() { epmd -names | grep -q "^name ${1%@*} "; }

# linked FIRST SECOND [CHECK...]: the second dials the first, and each is known by its certificate.
linked() {
    local first status=0 check=("${@:3}")
    [ ${#check[@]} -gt 0 ] || check=(dials)
    boot "$1" "$tmp/$1" >"$tmp/$1.log" 2>&1 &
    first=$!
    started+=("$first")
    within 10 answers "$1" || status=1
    [ $status = 0 ] && "${check[@]}" "$1" "$2" || status=1
    stop "$first"
    [ $status = 0 ] || sed 's/^/first node: /' "$tmp/$1.log"
    return $status
}

dials() { (boot "$2" "$tmp/$2" "link_check:main('$1').") }

# While both run the helper writes the next SVID over the first's, file by file, in place: the link that is up goes over
# to it, and nobody has said a word to the node.
rewritten() {
    local sum second log=$tmp/$2.log
    sum=$(openssl x509 -in "$pki/new-$1.crt" -outform DER | sha256sum) || return 1
    boot "$2" "$tmp/$2" "link_check:main('$1', <<\"${sum%% *}\">>)." >"$log" 2>&1 &
    second=$!
    started+=("$second")
    within 20 grep -q 'is linked to' "$log" && place "$tmp/$1" "$1" "$pki/new-$1"
    wait "$second"
    local status=$?
    cat "$log"
    return $status
}

# With another's certificate in its folder a node does not come up.
wrong_certificate_is_refused() {
    local other=$tmp/other status=0
    mkdir -p "$other" && cp -r "$tmp/$1/." "$other" && mv "$other/nodes/$1" "$other/nodes/$2" || return 1
    merlon inspect "$other" && status=1
    (boot "$2" "$other") >"$tmp/refused.log" 2>&1 && status=1
    cat "$tmp/refused.log"
    grep -q "is for $1: rename its folder" "$tmp/refused.log" && return $status
}

check 'the tree is built' test -s "$ebin/merlon.app" || finish
check 'the check of a link compiles' erlc -o "$tmp" "$fixtures/link_check.erl"
mkdir -p "$tmp/ca-host"
check 'OpenSSL: the CA of the guide' follow openssl-ca "$tmp/ca-host"
check 'OpenSSL: a node by the guide' openssl_node "open_a@$host"
check 'OpenSSL: another' openssl_node "open_b@$host"
check 'OpenSSL: they link' linked "open_a@$host" "open_b@$host"
check 'OpenSSL: the certificate of another node is refused' wrong_certificate_is_refused "open_a@$host" "open_c@$host"
check 'a root and an intermediate CA' two_cas "$tmp/pki"
check 'step-ca: files of two nodes' eval 'step_node "step_a@$host" && step_node "step_b@$host"'
check 'step-ca: they link' linked "step_a@$host" "step_b@$host"
check 'SPIFFE: SVID files of two nodes' eval 'spiffe_node "svid_a@$host" && spiffe_node "svid_b@$host"'
check 'SPIFFE: they link' linked "svid_a@$host" "svid_b@$host"
check 'SPIFFE: an SVID is rewritten under a running node, whose link goes over to it' \
    linked "svid_a@$host" "svid_b@$host" rewritten
finish
