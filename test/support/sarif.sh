#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Is what `merlon audit --format sarif` writes valid SARIF 2.1.0? The schema comes from an npm package that ships it, when the
# test runs. Needs npm, node and python3; the last line is `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2

for tool in npm node python3; do
    command -v $tool >/dev/null || { echo "left: $tool is not here"; echo '0 passed, 1 failed'; exit 1; }
done

# The package's one file has the schema as an object of its own.
npm pack --silent @datadog/datadog-ci-plugin-sarif@5.25.0 >/dev/null && tar -xzf ./*.tgz
node -e '
    const text = require("fs").readFileSync("package/dist/bundle.js", "utf8"), name = "var sarif_schema_2_1_0_default = ";
    const from = text.indexOf(name) + name.length;
    const schema = Function("return " + text.slice(from, text.indexOf("\n};", from) + 2))();
    console.log(JSON.stringify(schema));' >schema.json || { echo '0 passed, 1 failed'; exit 1; }
python3 -c 'import jsonschema' 2>/dev/null || pip install --quiet --target py jsonschema
export PYTHONPATH=$work/py

# Findings of all kinds: the corpus, a file that can't be read, a comment that holds and one that does not.
mkdir tree
cp "$root"/test/audit/erlang/*.erl tree
cp -r "$root"/test/audit/conf tree
printf -- '-module(broken).\nf( -> x.\n' >tree/broken.erl
cat >tree/allowed.erl <<'END'
-module(allowed).
-export([f/1, g/1]).
%% merlon: allow os_command until 2999-01-01 because the test says so
f(X) -> os:cmd(X).
%% merlon: allow eval
g(X) -> file:eval(X).
END
"$root/bin/merlon" audit tree --write-baseline known >/dev/null
head -n 20 known >some
"$root/bin/merlon" audit tree --baseline some --format sarif --output out.sarif

# And of what runs: a node's facts and one that does not answer, as `merlon audit --node` has them.
erl -noshell -pa "$root/_build/default/lib/merlon/ebin" -eval '
    Facts = #{node => list_to_atom("shop@web1"), otp => <<"25.3**">>, carrier => inet_tcp, hidden => false, merlon_links => [],
              links => [#{node => list_to_atom("shop@web2"), carrier => tcp, type => normal}], names => [], path => [], apps => [ssh],
              listeners => [{{0, 0, 0, 0}, 9100}], port => 9100, epmd => [{0, 0, 0, 0}], settings => []},
    Result = #{name => <<"shop@web1">>, kind => node, result => ok, covers => [], raws => merlon_audit_live:judge(Facts, 0, #{})},
    Silent = #{name => <<"shop@web2">>, kind => node, result => {error, 0, "it does not answer"}, covers => [], raws => []},
    Report = merlon_audit:assembled(node, [Result, Silent], #{}),
    ok = file:write_file("live.sarif", merlon_audit_sarif:encode(Report)), halt().' </dev/null

python3 - <<'END'
import json, jsonschema
schema, report, live = (json.load(open(name)) for name in ("schema.json", "out.sarif", "live.sarif"))
faults = [fault for each in (report, live) for fault in jsonschema.Draft7Validator(schema).iter_errors(each)]
for fault in faults[:10]:
    print(list(fault.path), fault.message[:200])
results = report["runs"][0]["results"]
kinds = {s["kind"] for r in results for s in r.get("suppressions", [])}
rules = {r["ruleId"] for r in live["runs"][0]["results"]}
checks = [not faults, len(results) > 100,
          {"live_plain_link", "live_listener", "live_epmd", "otp_advisory", "otp_unmaintained", "unscanned"} <= rules, kinds == {"inSource", "external"},
          all(not r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("/") for r in results),
          all(r["locations"][0]["logicalLocations"][0]["kind"] == "resource" and "physicalLocation" not in r["locations"][0]
              for r in live["runs"][0]["results"]),
          len({r["partialFingerprints"]["merlon/v1"] for r in results}) == len(results),
          not report["runs"][0]["invocations"][0]["executionSuccessful"]]
print(f"{sum(checks)} passed, {len(checks) - sum(checks)} failed")
raise SystemExit(not all(checks))
END
