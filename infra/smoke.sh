#!/usr/bin/env bash
# The first user's check of a deployment: infra/smoke.sh LOG_GROUP [STACK]
# The self-test, by two executions at once; then one event, from its log group to its line.
# LOG_GROUP is one that hiwake.toml names. It gets a log stream `hiwake-smoke` with one event.
set -euo pipefail
group=$1 stack=${2:-hiwake}
output() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Calls land, and keeps what it answers.
selftest() {
    local event='{"hiwake":"selftest","hold_s":%s,"prefixes":["%s","%s"]}'
    # shellcheck disable=SC2059
    event=$(printf "$event" "$1" "$landing" "$backup")
    aws lambda invoke --function-name "$stack-land" --cli-binary-format raw-in-base64-out \
        --no-cli-pager --payload "$event" "$folder/$2" >"$folder/$2.call"
}
landing=s3://$(output DeliveryBucket)/landing/
backup=s3://$(output BackupBucket)/backup/
echo '1. the self-test, by two executions at once'
selftest 20 first &
sleep 8
selftest 0 second
wait
jq -r '.checks[] | (if .ok then "ok   " else "WRONG" end) + " " + .check + ": " + .says' \
    "$folder/first"
jq -es 'all(.ok)' "$folder/first" "$folder/second" >"$folder/ok" ||
    { echo 'smoke: the self-test found something wrong' >&2; exit 1; }
grep -q 'held by another execution' "$folder/second" ||
    { echo 'smoke: two executions held one lock: do not land on this file system' >&2; exit 1; }

echo '2. one event'
aws logs create-log-stream --log-group-name "$group" --log-stream-name hiwake-smoke \
    2>"$folder/stream" ||
    grep -q ResourceAlreadyExists "$folder/stream" || { cat "$folder/stream" >&2; exit 1; }
since=$(date +%s)
text="hiwake smoke $since"
aws logs put-log-events --log-group-name "$group" --log-stream-name hiwake-smoke --no-cli-pager \
    --log-events "timestamp=${since}000,message=$text" >"$folder/put"

# The sum of one of land's metrics since then.
landed() {
    aws cloudwatch get-metric-statistics --namespace hiwake --metric-name RowsLanded \
        --dimensions "Name=Pipeline,Value=$stack" --start-time "$since" --end-time "$(date +%s)" \
        --period 60 --statistics Sum --query 'sum(Datapoints[].Sum)' --output text
}
echo '3. its line: a few minutes, most of them in Firehose'
rows=0
for _ in $(seq 60); do
    rows=$(landed)
    case $rows in 0 | 0.0 | None) sleep 15 ;; *) break ;; esac
done
case $rows in
0 | 0.0 | None)
    echo "smoke: no row has landed for 15 minutes: the dashboard $stack shows how far it came" >&2
    exit 1
    ;;
'' | *[!0-9.]*)
    echo "smoke: the metric RowsLanded cannot be read: $rows" >&2
    exit 1
    ;;
esac
echo "landed. On a machine that mounts the files: grep -r '$text' /mnt/hiwake"
echo '4. seal what has ended'
eval "$(output SealCommand)" | tee "$folder/seal"
if grep -q FunctionError "$folder/seal"; then
    echo "smoke: sealing failed: see the log of the function $stack-seal" >&2
    exit 1
fi
echo
echo "smoke: ok. The event's own day is sealed after midnight."
