#!/usr/bin/env bash
# `make fuzz`: each target for SECONDS_EACH (default 300) with 1 GiB of memory, from the fixtures on. Needs a nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-300}
rustup toolchain list | grep -q nightly || { echo 'fuzzing needs a nightly toolchain of Rust' >&2; exit 1; }
cargo +nightly fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked --version 0.13.2
cargo build --quiet --locked --bin hiwake
seeds=$(mktemp -d)
trap 'rm -r "$seeds"' EXIT
"${CARGO_TARGET_DIR:-target}/debug/hiwake" run events/firehose-mixed-batch.json events/firehose-japanese.json \
  --root "$seeds/root" --bucket "$seeds/bucket" --now 2022-04-18T08:00:00+09:00 >/dev/null 2>&1 || true
for target in record row object journal config firehose; do
  corpus=fuzz/corpus/$target
  mkdir -p "$corpus"
  case $target in
    config) cp hiwake.toml "$corpus" ;;
    firehose) cp events/*.json "$corpus" ;;
    journal) find "$seeds/root" -name journal -exec cp --backup=numbered -t "$corpus" {} + ;;
    *) find "$seeds/bucket" -type f -exec cp --backup=numbered -t "$corpus" {} + ;;
  esac
  cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 2>&1 \
    | grep -E '^stat::(number_of_executed_units|peak_rss_mb)|ERROR|panicked|SUMMARY|Test unit' | sed "s/^/$target: /"
done
