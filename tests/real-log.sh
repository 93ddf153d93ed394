#!/usr/bin/env bash
# Takes a real log from a fresh clone to sealed files: tests/real-log.sh LOG TIMESTAMP-FORMAT [YEAR]
# Each line of LOG must be a line of exactly one daily file, even after a second run.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
log=$(readlink -f "$1") format=$2 year=${3:+--year $3}
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -r "$work"' EXIT
git clone --quiet "$project" "$work/hiwake"
cd "$work/hiwake"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$project/target}
cargo build --locked --quiet --no-default-features --features cli
export PATH="$CARGO_TARGET_DIR/debug:$PATH"

for _ in 1 2; do
    # shellcheck disable=SC2086
    hiwake run "$log" --log-group /var/log/messages --timestamp-format "$format" $year --root logs
done
hiwake seal --root logs --now "$(date -d '+10 days' --iso-8601=seconds)"
hiwake status --root logs | tail -n 3
hiwake verify --root logs
(cd logs/messages && sha256sum --quiet -c ./*.sha256)
landed=$(cat logs/messages/*.csv | wc -l)
rows=$(hiwake cat --rows logs.s3/landing | sort -u | wc -l)
[ "$landed" = "$rows" ] || { echo "$landed lines for $rows events" >&2; exit 1; }
echo "real log: $landed lines of $(basename "$log"), each once"
