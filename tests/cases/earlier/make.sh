#!/usr/bin/env bash
# Archives what this build writes, as a test for every later build: tests/cases/earlier/make.sh NAME writes NAME.tar.gz
# beside this file. `hiwake` must be on the PATH. Each release has one archive, which is never made again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../../.." && pwd)
name=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >hiwake.toml <<'END'
timezone = "Asia/Tokyo"
[[source]]
log_groups = ["/var/log/*"]
file = "{log_group}"
labels = ["HOGE"]
columns = ["{labels}", "{time}", "{message}"]
[seal]
journal_days = 1
END
sed 's/^\[seal\]/[files]\nopen = "compressed"\n[seal]\ncompress = "zstd"/' hiwake.toml >compressed.toml

# One day's lines of a log group, delivered at a moment.
deliver() {
    grep "^Apr $3 " "$project/events/messages.log" >one.log
    hiwake run one.log --config "$1" --log-group "$2" --timestamp-format '%b %d %H:%M:%S' \
        --year 2022 --root root --bucket objects --now "$4"
    rm one.log
}
seal() { hiwake seal --config "$1" --root root --now "$2"; }

{
    deliver hiwake.toml /var/log/plain 16 2022-04-17T00:30:00+09:00
    seal hiwake.toml 2022-04-17T12:00:00+09:00
    deliver hiwake.toml /var/log/plain 17 2022-04-18T00:30:00+09:00
    # Seals the 17th, and closes the 16th: it was published more than a day ago.
    seal hiwake.toml 2022-04-18T12:30:00+09:00
    deliver compressed.toml /var/log/frames 17 2022-04-18T12:31:00+09:00
    seal compressed.toml 2022-04-18T14:00:00+09:00
    # Both stay open.
    deliver hiwake.toml /var/log/plain 18 2022-04-18T14:10:00+09:00
    deliver compressed.toml /var/log/frames 18 2022-04-18T14:11:00+09:00
} >log 2>&1 || { cat log >&2; exit 1; }
rm log

# The same rows as version 0.1 wrote them.
mkdir -p objects/version-1
hiwake cat --rows objects/landing |
    jq -c '.stream = ([.owner, .log_group, .log_stream] | join(":")) | del(.owner, .log_group, .log_stream)' |
    gzip -n >objects/version-1/rows.gz

mkdir said
hiwake status --root root --config compressed.toml --json >said/status.json
hiwake cat --root root --file %2Fvar%2Flog%2Fframes --day 2022-04-18 --config compressed.toml >said/frames
tar -c --sort=name --owner=0 --group=0 --numeric-owner hiwake.toml compressed.toml root objects said |
    gzip -n >"$here/$name.tar.gz"
