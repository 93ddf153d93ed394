#!/usr/bin/env bash
# `make run`: sample logs through the whole pipeline, with folders in the place of S3 and EFS.
set -euo pipefail
cd "$(dirname "$0")"
out=out
if [ -e "$out" ]; then chmod -R u+w "$out" && rm -r "$out"; fi
cargo build --locked --quiet
hiwake=${CARGO_TARGET_DIR:-target}/debug/hiwake

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
try() { say "\$ hiwake $*"; "$hiwake" "$@"; }

try run events/messages.log --log-group /var/log/messages \
    --timestamp-format '%b %d %H:%M:%S' --year 2022 \
    --root $out/efs --bucket $out/s3 --now 2022-04-18T08:00:00+09:00
try run events/firehose-hogehoge.json events/firehose-demo-data.json \
    --root $out/efs --bucket $out/s3 --now 2022-04-18T08:05:00+09:00
try seal --root $out/efs --now 2022-04-18T12:00:00+09:00
try status --root $out/efs

say "The day files in $out/efs, and their first lines"
(cd $out/efs && find . -path ./.hiwake -prune -o -type f -print | sort | while read -r file; do
    printf '\n%s\n' "$file"
    head -n 4 "$file" | cut -c 1-150 | sed 's/^/    /'
done)
say "They stay in $out/efs, the objects in $out/s3; try: cat $out/efs/messages/2022-04-17.csv"
