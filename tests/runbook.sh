#!/usr/bin/env bash
# Makes the folder in which a recipe of docs/runbook.md begins: tests/runbook.sh FOLDER RECIPE.
# RECIPE is the recipe's anchor, for example `replay-an-hour`. `hiwake` must be on the PATH.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
mkdir "$1" && cd "$1"
cp "$project/hiwake.toml" .

# Three deliveries, each of one day's lines.
deliver() {
    grep "^Apr $1 " "$project/events/messages.log" >"$1.log"
    hiwake run "$1.log" --log-group /var/log/messages --timestamp-format '%b %d %H:%M:%S' \
        --year 2022 --root efs --bucket s3 --now "$2"
    rm "$1.log"
}

# Overwrites one byte of a file, at an offset.
damage() {
    chmod u+w "$1"
    printf X | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

{
    deliver 16 2022-04-17T00:30:00+09:00
    deliver 17 2022-04-18T00:30:00+09:00
    deliver 18 2022-04-18T08:00:00+09:00
    hiwake seal --root efs --now 2022-04-18T12:00:00+09:00
} >log 2>&1

case $2 in
repair-a-damaged-day)
    rm -f efs/messages/2022-04-16.csv.sha256
    damage efs/.hiwake/days/2022-04-17/messages.csv/.journal 8200
    damage efs/messages/2022-04-18.csv.open 40
    ;;
correct-a-refused-event)
    # The second timestamp is in seconds. The object's time is its arrival, on the others' day.
    cat >envelope.json <<'END'
{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/var/log/messages","logStream":"web1","subscriptionFilters":["hiwake"],"logEvents":[{"id":"1","timestamp":1650243600000,"message":"Apr 18 10:00:00 web1 app[3301]: level=info msg=right"},{"id":"2","timestamp":1650243601,"message":"Apr 18 10:00:01 web1 app[3301]: level=info msg=seconds"}]}
END
    touch -d 2022-04-18T10:00:05+09:00 envelope.json
    hiwake land envelope.json --root efs >>log 2>&1 || true
    rm envelope.json
    # The corrected event arrives when the recipe runs, perhaps in 2040.
    sed -i 's/^# event_age .*/event_age = "40years"/' hiwake.toml
    ;;
esac
