#!/usr/bin/env bash
# What landing and sealing take at size: memory, handles, time. Needs GNU time, strace and some 12 GB of disk.
#   benches/size.sh FOLDER [big|bomb|many|day …]    FOLDER is made, filled and left; the figures stand in docs/performance.md, "Limits"
set -euo pipefail
cd "$(dirname "$0")/.."
at=$1
shift
parts=${*:-big bomb many day}
mkdir -p "$at"
cargo build --release --locked --bin hiwake
hiwake=${CARGO_TARGET_DIR:-target}/release/hiwake
measured() { /usr/bin/time -f '%e s, %M KB resident' "$@"; }

# rows COUNT PAD FILES SEED: rows of PAD bytes more, spread over FILES day files, as NDJSON.
rows() {
  awk -v count="$1" -v pad="$2" -v files="$3" -v seed="$4" 'BEGIN {
    srand(seed)
    while (length(filler) < pad) filler = filler "level=info component=worker msg=done "
    filler = substr(filler, 1, pad)
    for (n = 0; n < count; n++) {
      file = files == 1 ? "messages" : sprintf("many/%05d", n % files)
      id = ""
      for (word = 0; word < 8; word++) id = id sprintf("%04x", rand() * 65536)
      at = 1650207600000 + int(n * 86400000 / count)
      printf "{\"file\":\"%s\",\"kind\":\"csv\",\"day\":\"2022-04-18\",\"timestamp\":%.0f,\"stream\":\"1:g:s\",\"id\":\"%s\",\"line\":\"HOGE,%s %s\"}\n", file, at, id, id, filler
    }
  }'
}

big() {
  echo "== an object of 128 MiB that inflates to more than 2 GB"
  mkdir -p "$at/big" && rows 4110000 400 1 1 | gzip -6 > "$at/big/object.gz"
  echo "$(stat -c %s "$at/big/object.gz") bytes, inflated: $(gzip -dc "$at/big/object.gz" 2>/dev/null | wc -c)"
  measured "$hiwake" land "$at/big" --root "$at/big.root" --now 2022-04-18T23:00:00+09:00 || true
}

bomb() {
  echo "== a bomb: one record of 10 GB of zeros in a gzip member"
  mkdir -p "$at/bomb" && { printf '{"messageType":"DATA_MESSAGE","owner":"'; head -c 10G /dev/zero; } | gzip -9 > "$at/bomb/bomb.gz"
  stat -c '%s bytes' "$at/bomb/bomb.gz"
  measured "$hiwake" land "$at/bomb" --root "$at/bomb.root" || true
}

many() {
  echo "== rows for ten thousand day files"
  mkdir -p "$at/many" && rows 20000 100 10000 2 | gzip > "$at/many/object.gz"
  measured "$hiwake" land "$at/many" --root "$at/many.root" --now 2022-04-18T23:00:00+09:00 &
  pid=$!
  most=0
  while kill -0 $pid 2>/dev/null; do
    child=$(pgrep -nf "^$hiwake land $at/many" || true)
    open=$({ ls "/proc/${child:-0}/fd" 2>/dev/null || true; } | wc -l)
    if [ "$open" -gt "$most" ]; then most=$open; fi
    sleep 0.01
  done
  wait $pid
  echo "at most $most open handles"
}

day() {
  echo "== seal of a day of 2 GB, out of order, while landing continues"
  mkdir -p "$at/day"
  for part in 1 2 3 4; do rows 800000 600 1 "1$part" | gzip -1 > "$at/day/$part.gz"; done
  for part in 2 1 4 3; do "$hiwake" land "$at/day/$part.gz" --root "$at/day.root" --now 2022-04-18T23:00:00+09:00; done
  cp -a "$at/day.root" "$at/day.again"
  mkdir -p "$at/late"
  measured "$hiwake" seal --root "$at/day.root" --now 2022-04-19T05:00:00+09:00 &
  pid=$!
  landed=0
  while kill -0 $pid 2>/dev/null; do
    landed=$((landed + 1))
    rows 100 100 1 "2$landed" > "$at/late/$landed"
    /usr/bin/time -f '%e' -a -o "$at/late.times" "$hiwake" land "$at/late/$landed" --root "$at/day.root" --now 2022-04-19T05:00:00+09:00 > /dev/null
  done
  wait $pid
  echo "landed $landed times meanwhile, the slowest in $(sort -n "$at/late.times" | tail -1) s"

  echo "== a seal that is killed half-way starts again and ends the same"
  "$hiwake" seal --root "$at/day.again" --now 2022-04-19T05:00:00+09:00 &
  pid=$!
  sleep 1.5
  kill -9 $pid
  wait $pid || true
  ls -A "$at/day.again/messages"
  measured "$hiwake" seal --root "$at/day.again" --now 2022-04-19T05:00:00+09:00
  cmp "$at/day.root/messages/2022-04-18.csv" "$at/day.again/messages/2022-04-18.csv" && echo "the same bytes"
  ls -A "$at/day.again/messages"

  echo "== verify"
  measured "$hiwake" verify --root "$at/day.root"

  echo "== what a seal moves: a day in order, and one out of order"
  for parts in "1" "1 2"; do
    for part in $parts; do rows 100000 600 1 "1$part" > "$at/moved"; "$hiwake" land "$at/moved" --root "$at/moved.${parts// /}" --now 2022-04-18T23:00:00+09:00 > /dev/null; done
    strace -f -qq -e trace=read,pread64,write,pwrite64 -o "$at/moved.strace" "$hiwake" seal --root "$at/moved.${parts// /}" --now 2022-04-19T05:00:00+09:00
    awk '{ bytes[/p?read(64)?\(/ ? "read" : "written"] += $NF } END { print bytes["read"] " bytes read, " bytes["written"] " written" }' "$at/moved.strace"
  done
}

for part in $parts; do $part; done
