#!/usr/bin/env bash
# `make bench`: every bench, then one table of all targets. The packages' start and size are those that `make lambda` made.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp) packages=$(mktemp -d)
trap 'rm -rf "$log" "$packages"' EXIT
measured() { cargo bench --locked --no-default-features "$@" | tee -a "$log"; }

measured --bench peers
measured --profile guard --bench instructions -- --naive
measured --bench targets
for name in transform land; do
    zip=${CARGO_TARGET_DIR:-target}/lambda/$name/bootstrap.zip
    [ ! -f "$zip" ] || python3 -m zipfile -e "$zip" "$packages/lambda/$name"
done
if [ -d "$packages/lambda/land" ] && [ -d "$packages/lambda/transform" ]; then
    chmod -R u+x "$packages"
    measured --profile guard --features lambda --bench startup -- "$packages/lambda"
else
    echo '| start and size of the packages | not measured: `make lambda` first | | MISSED |' | tee -a "$log"
fi

# The page has what has a target; the other figures stand above. A bench's own tables have more columns.
echo
echo '|what|measured|target||'
echo '|---|---|---|---|'
grep -E '^\|[^|]*\|[^|]*\|[^|]*\|[^|]*(reached|MISSED) \|$' "$log" | sed -E 's/ *\| */|/g; s/ ×/×/g; s/([≥≤]) /\1/; s/MISSED/**missed**/'
