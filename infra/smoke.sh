#!/usr/bin/env bash
# Takes a clone to its first line: infra/smoke.sh [--no-deploy] [--root DIR] LOG_GROUP [STACK]
# Deploys, runs land's self-test in two executions at once, puts one event into LOG_GROUP, shows its
# line, checks that it has landed, and seals. Needs the AWS CLI 2, jq, zstd, node and `make lambda`.
# LOG_GROUP is one that hiwake.toml names. It gets a log stream `hiwake-smoke` with one event.
# --no-deploy: the stack is already deployed. --root DIR: also check the files mounted there.
set -euo pipefail
fail() {
    echo "smoke: $1" >&2
    exit 1
}
deploy=yes root=
while [ "${1-}" != "${1#--}" ]; do
    case $1 in
    --no-deploy) deploy=no ;;
    --root) root=${2?--root takes a folder} && shift ;;
    *) fail "$1 is not an option: infra/smoke.sh [--no-deploy] [--root DIR] LOG_GROUP [STACK]" ;;
    esac
    shift
done
group=${1:?name a log group of hiwake.toml} stack=${2:-hiwake}
for tool in aws jq zstd; do
    command -v "$tool" >/dev/null || fail "$tool is missing: install it"
done
case $(aws --version) in aws-cli/1.*) fail 'the AWS CLI is version 1: install version 2' ;; esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if [ $deploy = yes ]; then
    echo '1. deploy'
    (
        cd "$(dirname "$0")"
        [ -d node_modules ] || npm ci --no-audit --no-fund --loglevel error
        # The version that package-lock.json pins.
        npx --no-install cdk deploy --no-notices "$stack"
    )
fi
output() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}
bucket=$(output DeliveryBucket)
backup=$(output BackupBucket)

# Calls land with an event, and keeps its answer ($2) and its log ($2.call).
land() {
    aws lambda invoke --function-name "$stack-land" --cli-binary-format raw-in-base64-out \
        --no-cli-pager --output json --log-type Tail --payload "$1" "$folder/$2" >"$folder/$2.call"
    if jq -e .FunctionError "$folder/$2.call" >"$folder/error"; then
        fail "land failed: $(cat "$folder/$2")"
    fi
}
selftest() {
    local prefixes="[\"s3://$bucket/landing/\",\"s3://$backup/backup/\"]"
    land "{\"hiwake\":\"selftest\",\"hold_s\":$1,\"prefixes\":$prefixes}" "$2"
}
echo '2. run the self-test in two executions at once'
selftest 20 first &
holding=$!
sleep 8
selftest 0 second
wait $holding
jq -r '.checks[] | (if .ok then "ok   " else "WRONG" end) + " " + .check + ": " + .says' \
    "$folder/first"
jq -es 'all(.ok)' "$folder/first" "$folder/second" >"$folder/ok" ||
    fail 'the self-test found something wrong'
grep -q 'held by another execution' "$folder/second" ||
    fail 'two executions held one lock: do not land on this file system'

echo '3. put one event'
aws logs create-log-stream --log-group-name "$group" --log-stream-name hiwake-smoke \
    2>"$folder/stream" ||
    grep -q ResourceAlreadyExists "$folder/stream" || fail "$(cat "$folder/stream")"
since=$(date +%s)
since_iso=$(date -u +%Y-%m-%dT%H:%M:%S)
text="hiwake smoke $since $$-$RANDOM"
aws logs put-log-events --log-group-name "$group" --log-stream-name hiwake-smoke --no-cli-pager \
    --log-events "timestamp=${since}000,message=$text" >"$folder/put"
echo "put: $text"

# Finds the first object since then that has the event: $key; its header and line are in row.
delivered() {
    aws s3api list-objects-v2 --bucket "$bucket" --prefix landing/ --output text \
        --query "Contents[?LastModified>='$since_iso'].[Key]" >"$folder/keys"
    while read -r key; do
        [ "$key" != None ] || continue
        aws s3 cp --only-show-errors "s3://$bucket/$key" "$folder/object"
        # docs/format.md: zstd frames of headers, each followed by its rows: time, identity, line.
        zstd -dcqf "$folder/object" | awk -v text="$text" '
            index($0, "{\"hiwake\":") == 1 { header = $0 }
            index($0, text) { print header; sub(/^[^ ]+ [^ ]+ /, ""); print }' >"$folder/row"
        [ ! -s "$folder/row" ] || return 0
    done <"$folder/keys"
    return 1
}
# The sum of land's metric RowsLanded since then.
landed() {
    aws cloudwatch get-metric-statistics --namespace hiwake --metric-name RowsLanded \
        --dimensions "Name=Pipeline,Value=$stack" --start-time "$since" --end-time "$(date +%s)" \
        --period 60 --statistics Sum --query 'sum(Datapoints[].Sum)' --output text
}
# Tries a command every 15 seconds for 15 minutes.
patiently() {
    for _ in $(seq 60); do
        sleep 15
        ! "$@" || return 0
    done
    return 1
}
some_landed() {
    rows=$(landed)
    case $rows in
    0 | 0.0 | None) return 1 ;;
    '' | *[!0-9.]*) fail "the metric RowsLanded cannot be read: $rows" ;;
    esac
}
echo '4. wait for its line: a few minutes, most of them in Firehose'
patiently delivered || fail "the event is in no object of landing/ after 15 minutes. Does \
hiwake.toml name $group, and accept every event (filter_pattern, drop, keep)? The dashboard $stack \
shows how far it got"
patiently some_landed || fail "no row has landed for 15 minutes, although $key has the event. See the \
log of $stack-land, and the queue $(output NoticesQueue)"
# Land reads that object again, and counts the rows that had already landed.
notice=$(jq -nc --arg bucket "$bucket" --arg key "$key" \
    '{bucket: {name: $bucket}, object: {key: ($key | @uri)}} |
    {Records: [{eventName: "ObjectCreated:Put", s3: .}]}')
land "$notice" again
jq -r '.LogResult | @base64d' "$folder/again.call" |
    jq -cR 'fromjson? | select(.RowsIn?) | {RowsIn, RowsDuplicate, RowsLanded, RowsQuarantined}' \
        >"$folder/rows"
jq -e '.RowsIn > 0 and .RowsDuplicate == .RowsIn' "$folder/rows" >"$folder/ok" ||
    fail "$key had not landed by its notice: $(cat "$folder/rows")"
file=$(sed -n 1p "$folder/row" | jq -r '"\(.file)/\(.day).\(.kind)"')
echo "landed once in $file:"
sed -n '2s/^/    /p' "$folder/row"
if [ -n "$root" ]; then
    count=$(cat "$root/$file"* | gzip -cdf | grep -cF "$text") || count=0
    [ "$count" = 1 ] || fail "$count lines of $root/$file have the event, not 1"
    echo "and it is there: $root/$file"
fi
echo '5. seal the days that have ended'
eval "$(output SealCommand)" | tee "$folder/seal"
if grep -q FunctionError "$folder/seal"; then
    fail "sealing failed: see the log of the function $stack-seal"
fi
echo
echo "smoke: ok. The event's own day is sealed after midnight."
