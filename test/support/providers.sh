#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/guides/providers.md: each of its settings as it stands there, with a node that links by the keyring so found to one that has it in
# a file, and that takes up a new version. AWS is moto's server (PyPI, installed into MERLON_CACHE), which checks
# signatures with botocore; Vault and Google are test/fixtures/stores.py: no package brings a server with Vault's KV
# version 2 (rusty_vault has version 1), nor one of Google's.
. "$(dirname "$0")/../fixtures/lib.sh"
guide=$root/docs/guides/providers.md
ebin=$root/_build/default/lib/merlon/ebin
cache=${MERLON_CACHE:-$HOME/.cache/merlon}
host=127.0.0.1
node_a=prov_a_$$@$host
node_b=prov_b_$$@$host
store=$tmp/store
export PATH=$root/bin:$PATH
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_ROLE_ARN AWS_PROFILE

# setting NAME: the setting of that name in the guide, its addresses replaced by this run's.
setting() {
    awk -v mark="<!-- setting: $1 -->" '
        $0 == mark { found = 1; next }
        found && /^```erlang$/ { inside = 1; next }
        inside && /^```$/ { exit }
        inside { print }' "$guide" |
        sed -e "s|https://vault.example:8200|https://localhost:$(cat "$store/port")|" -e "s|/etc/merlon-vault|$tmp|" \
            -e "s|{project, |{endpoint, \"https://localhost:$(cat "$store/port")\"}, {ca, \"$tmp/ca.pem\"}, {metadata, \"http://$host:$(cat "$tmp/plain/port")\"}, {project, |" \
            -e "s|{region, |{endpoint, \"http://$host:$moto_port\"}, {sts_endpoint, \"http://$host:$moto_port\"}, {metadata, \"http://$host:$(cat "$tmp/plain/port")\"}, {region, |" \
            -e "s|{refresh, [0-9]*}|{refresh, 1}|" -e 's/{url, \|{project, \|{region, /{refresh, 1}, &/'
}

# ---- servers ----

# Made for names of this machine, by a CA of its own.
certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/ca.key" -out "$tmp/ca.pem" -subj /CN=ca -days 2 &&
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/server.key" -out "$tmp/server.csr" -subj /CN=server &&
        printf 'subjectAltName = DNS:localhost\n' >"$tmp/server.ext" &&
        openssl x509 -req -in "$tmp/server.csr" -CA "$tmp/ca.pem" -CAkey "$tmp/ca.key" -CAcreateserial -days 2 -sha256 \
            -extfile "$tmp/server.ext" -out "$tmp/server.pem" &&
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -out "$tmp/other-ca.pem" -subj /CN=other -days 2
}

# Metadata servers speak no TLS: the same stores once more, in the clear.
stores() {
    mkdir -p "$store" "$tmp/plain"
    python3 "$fixtures/stores.py" "$store" "$tmp/server.pem" "$tmp/server.key" >"$tmp/stores.log" 2>&1 &
    started+=("$!")
    python3 "$fixtures/stores.py" "$tmp/plain" >"$tmp/plain.log" 2>&1 &
    started+=("$!")
    within 10 test -s "$store/port" && within 10 test -s "$tmp/plain/port" || { cat "$tmp"/{stores,plain}.log; return 1; }
}

# A server whose certificate ends as soon as it begins.
late_store() {
    mkdir -p "$tmp/late" &&
        openssl x509 -req -in "$tmp/server.csr" -CA "$tmp/ca.pem" -CAkey "$tmp/ca.key" -CAcreateserial -days 0 -sha256 \
            -extfile "$tmp/server.ext" -out "$tmp/expired.pem" || return 1
    python3 "$fixtures/stores.py" "$tmp/late" "$tmp/expired.pem" "$tmp/server.key" >"$tmp/late.log" 2>&1 &
    started+=("$!")
    within 10 test -s "$tmp/late/port" && sleep 2
}

moto_installed() {
    "$cache/moto/bin/python" -c 'import moto.server' 2>/dev/null && return
    (flock 9 && rm -rf "$cache/moto" && python3 -m venv "$cache/moto" && "$cache/moto/bin/pip" install --quiet 'moto[server]>=5,<6') 9>"$cache/moto.lock"
}

# After so many requests moto checks signatures and policies: those that prepare it come before. The instance's
# credentials are temporary ones of moto's own.
moto() {
    moto_port=$(free_port)
    INITIAL_NO_AUTH_ACTION_COUNT=5 MOTO_PORT=$moto_port "$cache/moto/bin/python" -m moto.server -H $host >"$tmp/moto.log" 2>&1 &
    started+=("$!")
    within 20 curl_port "$moto_port" || { cat "$tmp/moto.log"; return 1; }
    "$cache/moto/bin/python" - "http://$host:$moto_port" "$tmp" <<'PYTHON'
import boto3, json, os, sys
url, folder = sys.argv[1:]
def client(name):
    return boto3.client(name, endpoint_url=url, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
iam = client("iam")                                             # five requests
iam.create_user(UserName="node")
iam.put_user_policy(UserName="node", PolicyName="read", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["secretsmanager:*", "sts:*"], "Resource": "*"}]}))
role = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Principal": {"AWS": "*"}}]}
iam.create_role(RoleName="merlon", AssumeRolePolicyDocument=json.dumps(role))
iam.put_role_policy(RoleName="merlon", PolicyName="read", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}]}))
key = iam.create_access_key(UserName="node")["AccessKey"]
sts = boto3.client("sts", endpoint_url=url, region_name="eu-central-1", aws_access_key_id=key["AccessKeyId"],
                   aws_secret_access_key=key["SecretAccessKey"])
role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/merlon", RoleSessionName="instance")["Credentials"]
for name, value in (("key_id", key["AccessKeyId"]), ("key", key["SecretAccessKey"]), ("plain/key_id", role["AccessKeyId"]),
                    ("plain/key", role["SecretAccessKey"]), ("plain/session", role["SessionToken"])):
    with open(f"{folder}/{name}", "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(value)
PYTHON
}

unsigned() { "$cache/moto/bin/python" -c 'import sys, requests; requests.post(sys.argv[1], data="inf").raise_for_status()' "http://$host:$moto_port/moto-api/reset-auth"; }

curl_port() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }

# put_aws FILE: the next version in AWS.
put_aws() {
    "$cache/moto/bin/python" - "http://$host:$moto_port" "$1" "$(cat "$tmp/key_id")" "$(cat "$tmp/key")" <<'PYTHON'
import boto3, sys
url, file, key_id, key = sys.argv[1:]
client = boto3.client("secretsmanager", endpoint_url=url, region_name="eu-central-1", aws_access_key_id=key_id, aws_secret_access_key=key)
text = open(file).read()
try:
    client.create_secret(Name="merlon/prod", SecretString=text)
except client.exceptions.ResourceExistsException:
    client.put_secret_value(SecretId="merlon/prod", SecretString=text)
PYTHON
}

account() {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$tmp/account.pem" &&
        openssl pkey -in "$tmp/account.pem" -pubout -out "$store/public.pem" &&
        python3 - "$tmp/account.pem" "https://localhost:$(cat "$store/port")/token" >"$tmp/account.json" <<'PYTHON' &&
import json, sys
print(json.dumps({"type": "service_account", "client_email": "m@shop.example", "private_key_id": "kid",
                  "private_key": open(sys.argv[1]).read(), "token_uri": sys.argv[2]}))
PYTHON
        chmod 600 "$tmp/account.json"
}

# ---- nodes ----

# put FILE: the next version in the stores.
put() {
    local dir version
    for dir in "$store" "$tmp/plain"; do
        version=$(cat "$dir/version" 2>/dev/null || echo 0)
        echo $((version + 1)) >"$dir/version"
        cp "$1" "$dir/value.new" && mv "$dir/value.new" "$dir/value"
    done
}

# boot NODE DIR [ERLANG]: becomes the node.
boot() {
    exec erl -noshell -noinput -name "$1" -setcookie "${1%@*}" -pa "$ebin" "$tmp" -proto_dist merlon -merlon_dir "$2" \
        ${3:+-eval "$3"}
}

answers() { epmd -names | grep -q "^name ${1%@*} "; }

# dir NAME SETTING: a copy of the cluster's dir with that setting.
dir() {
    rm -rf "${tmp:?}/$1" && cp -r "$tmp/cluster" "$tmp/$1" && printf '%s\n' "$2" >>"$tmp/$1/merlon.config" && chmod 600 "$tmp/$1/merlon.config"
}

# linked NAME SETTING PUT: a node with the first keyring by the provider, not linked to one with the second in a file, as their cookies
# differ too; then the second is stored, and they link.
linked() {
    local first status=0
    dir "$1" "$2" && rm -rf "$tmp/filed" && cp -r "$tmp/cluster" "$tmp/filed" && install -m 600 "$tmp/new" "$tmp/filed/keyring" || return 1
    $3 "$tmp/old" || return 1
    (boot "$node_a" "$tmp/$1") >"$tmp/$1.log" 2>&1 &
    first=$!
    started+=("$first")
    within 20 answers "$node_a" || status=1
    [ $status = 0 ] && (boot "$node_b" "$tmp/filed" "halt(case net_kernel:connect_node('$node_a') of false -> 0; _ -> 1 end).") || status=1
    [ $status = 0 ] && $3 "$tmp/new" && (boot "$node_b" "$tmp/filed" "link_check:main('$node_a').") || status=1
    stop "$first"
    [ $status = 0 ] || sed 's/^/node: /' "$tmp/$1.log"
    ! grep -qFf "$tmp/secrets" "$tmp/$1.log" && return $status
}

# refused NAME SETTING WORDS: a node that does not start, and says why, and nothing else.
refused() {
    dir "$1" "$2"$'\n{secret_wait, 2000}.' || return 1
    (boot "$node_a" "$tmp/$1" 'halt().') >"$tmp/$1.log" 2>&1 && { cat "$tmp/$1.log"; return 1; }
    cat "$tmp/$1.log"
    grep -q "$3" "$tmp/$1.log" && ! grep -qFf "$tmp/secrets" "$tmp/$1.log"
}

# Two keyrings, and their secrets, for greps.
keyrings() {
    mkdir -p "$tmp/ring" && echo '{cluster, "shop"}.' >"$tmp/ring/merlon.config" &&
        merlon keyring --new --dir "$tmp/ring" && cp "$tmp/ring/keyring" "$tmp/old" &&
        rm "$tmp/ring/keyring" && merlon keyring --new --dir "$tmp/ring" && cp "$tmp/ring/keyring" "$tmp/new" &&
        awk '$5 == "expand" { print $6 }' "$tmp/old" "$tmp/new" >"$tmp/secrets" &&
        [ "$(wc -l <"$tmp/secrets")" = 2 ]
}

put_file() { install -m 600 "$1" "$tmp/keyring.new" && mv "$tmp/keyring.new" "$tmp/keyring"; }

check 'the tree is built' test -s "$ebin/merlon.app" || finish
check 'the check of a link compiles' erlc -o "$tmp" "$fixtures/link_check.erl"
check 'moto, from the cache or PyPI' moto_installed || finish
check 'certificates' certificates && check 'stores' stores && check 'moto runs' moto || finish
check 'a cluster' new_dir "$tmp/cluster" shop "$node_a" "$node_b" || finish
check 'keyrings' keyrings || finish
check 'a service account' account
install -m 600 /dev/stdin "$tmp/token" <<<s.root
install -m 600 /dev/stdin "$tmp/secret_id" <<<the-secret-id
install -m 644 /dev/stdin "$tmp/pod" <<<the.pod.token
printf '#!/bin/sh\ncat "%s"\n' "$tmp/keyring" >"$tmp/program" && chmod 700 "$tmp/program"

check 'file: linked' linked file "$(setting file | sed "s|/run/secrets/merlon-keyring|$tmp/keyring|")" put_file
CREDENTIALS_DIRECTORY=$tmp check 'systemd: linked' linked systemd "$(setting systemd | sed 's|"merlon"|"keyring"|')" put_file
check 'program: linked' linked exec "$(setting exec | sed "s|/usr/local/libexec/merlon-keyring|$tmp/program|")" put_file
check 'Vault, token in a file: linked' linked vaulttoken "$(setting vault-token)" put
check 'Vault, AppRole: linked' linked approle "$(setting vault-approle)" put
check 'Vault, Kubernetes: linked' linked kubernetes "$(setting vault-kubernetes | sed "s|{role, |{jwt_file, \"$tmp/pod\"}, {role, |")" put
AWS_ACCESS_KEY_ID=$(cat "$tmp/key_id") AWS_SECRET_ACCESS_KEY=$(cat "$tmp/key") \
    check 'AWS, environment: linked' linked aws "$(setting aws)" put_aws
check 'AWS, keys in files: linked' linked awskeys "$(setting aws-keys)" put_aws
check 'AWS, the role of an instance: linked' linked instance "$(setting aws | sed 's|{region, |{credentials, "instance"}, {region, |')" put_aws
check 'Google, metadata server: linked' linked gcp "$(setting gcp)" put
check 'Google, service account: linked' linked account "$(setting gcp-account)" put

check 'Vault: another CA is refused' refused otherca "$(setting vault-token | sed 's|/ca.pem|/other-ca.pem|')" 'of a CA that is not trusted'
check 'Vault: without its CA it is refused' refused noca "$(setting vault-token | sed 's|{ca, [^}]*}, *||')" 'of a CA that is not trusted'
check 'Vault: another name is refused' refused othername "$(setting vault-token | sed "s|//localhost|//$host|")" 'for another name'
check 'a store whose certificate has expired' late_store
check 'Vault: an expired certificate is refused' refused expired \
    "$(setting vault-token | sed "s|//localhost:[0-9]*|//localhost:$(cat "$tmp/late/port")|")" 'certificate has expired'
install -m 600 /dev/stdin "$tmp/token" <<<s.wrong
check 'Vault: another token is refused' refused wrongtoken "$(setting vault-token)" 'status 403'
touch "$store/sealed"
check 'Vault: sealed until the time is up' refused sealed "$(setting vault-approle)" 'is it sealed'
rm "$store/sealed"
AWS_ACCESS_KEY_ID=$(cat "$tmp/key_id") AWS_SECRET_ACCESS_KEY=wrong \
    check 'AWS: a signature of another key is refused' refused wrongkey "$(setting aws)" 'refuses the read (status 4.*Signature'
# moto wants signatures for all or for nothing, and this begins with a request that has none.
check 'moto without signatures' unsigned
check 'AWS, web identity: linked' linked web "$(setting aws-web-identity | sed "s|/var/run/secrets/eks.amazonaws.com/serviceaccount/token|$tmp/pod|")" put_aws
finish
