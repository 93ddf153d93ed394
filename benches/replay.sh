#!/usr/bin/env bash
# Measures how fast a backup folder replays, compared with the first landing of the same events: into a fresh root, and
# into one that has everything. The folder holds SIZE_MB of inflated envelopes (default 1024). Each figure is the best
# of ROUNDS (3).
set -euo pipefail
cd "$(dirname "$0")/.."
size_mb=${SIZE_MB:-1024} rounds=${ROUNDS:-3}
cargo build --release --locked --bin hiwake
hiwake=${CARGO_TARGET_DIR:-target}/release/hiwake
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An event's JSON adds about 80 bytes to its message.
python3 - "$size_mb" > "$work/messages.log" <<'PYTHON'
import random, sys
random.seed(7)
words = "connect accept session opened closed user nginx upstream 接続 timed out GET POST /api/v1/items".split()
left, n = int(sys.argv[1]) << 20, 0
while left > 0:
    text = " ".join(random.choices(words, k=random.randint(6, 24)))
    line = f"2022-04-18 {n // 1000000 % 24:02}:{n // 20000 % 50:02}:{n // 400 % 50:02} web{n % 7} app[{n % 9973}]: {text} {random.getrandbits(48):x}"
    print(line)
    left -= len(line.encode()) + 80
    n += 1
PYTHON
"$hiwake" run "$work/messages.log" --log-group /var/log/messages --timestamp-format '%Y-%m-%d %H:%M:%S' \
    --root "$work/made" --bucket "$work/s3"
rm -r "$work/made" "$work/messages.log"
inflated=$(find "$work/s3/backup" -type f -exec zcat {} + | wc -c)
echo "backup: $(du -sb "$work/s3/backup" | cut -f 1) bytes, $inflated inflated"

# timed NAME ROOT COMMAND…: prints the best time of all rounds.
timed() {
    local name=$1 root=$2 best='' start seconds
    shift 2
    for _ in $(seq "$rounds"); do
        [ -z "$root" ] || rm -rf "${work:?}/$root"
        start=$(date +%s%N)
        "$@" > "$work/said"
        seconds=$(( ($(date +%s%N) - start) / 1000000 ))
        [ -n "$best" ] && [ "$best" -le "$seconds" ] || best=$seconds
    done
    echo "$name: $best ms, $((inflated / 1000 / best)) MB of envelopes a second: $(head -n 1 "$work/said")"
}
timed 'first landing' first "$hiwake" land "$work/s3/landing" --root "$work/first"
timed 'replay, fresh root' fresh "$hiwake" replay "$work/s3/backup" --root "$work/fresh"
timed 'replay, all there' '' "$hiwake" replay "$work/s3/backup" --root "$work/first"
timed 'dry run' '' "$hiwake" replay "$work/s3/backup" --root "$work/first" --dry-run
