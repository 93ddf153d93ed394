# The two commands are `make run` and `make check`; CI runs `make check`, `make lambda`, `make infra` and `make e2e`.
.PHONY: run check fmt lint words test doc guard nextest strace valgrind jq zstd lambda infra e2e nfs fuzz peers bench cost

run: ; cargo run --locked --no-default-features --features cli -- demo out
check: fmt lint test doc guard
fmt: ; cargo fmt --check
lint: words ; cargo clippy --locked --all-targets --all-features -- -D warnings
words: ; @if command -v python3 >/dev/null; then .ci/words; else echo 'not run: .ci/words, which needs python3' >&2; fi
test: nextest strace jq zstd
	cargo nextest run --locked --all-features
	HIWAKE_TEST_OPEN=compressed cargo nextest run --locked --all-features -E 'test(/^(sim|land|processes)::/) - test(in_the_journal_of_a_closed_day)'
doc: ; RUSTDOCFLAGS="-D warnings" cargo doc --locked --all-features --no-deps --document-private-items
guard: valgrind ; cargo bench --locked --profile guard --no-default-features --bench instructions
nextest: ; @cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked --version 0.9.143
strace valgrind jq zstd: ; @command -v $@ >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -y $@ >/dev/null; } || { echo '$@ is needed: apt-get install $@' >&2; exit 1; }
fuzz: ; @fuzz/run.sh
bench: strace valgrind ; @benches/all.sh
peers: ; cargo bench --locked --no-default-features --bench peers
cost: ; @python3 benches/cost/table.py
lambda: .venv/lambda ; @./.ci/lambda
infra: .venv/tests ; @./.ci/infra
e2e: .venv/tests ; @.venv/bin/python tests/e2e/run.py && .venv/bin/python tests/e2e/infra.py && .venv/bin/python tests/e2e/replay.py
# One virtual environment: the tools that build the packages, and on top of them those that test them.
.venv/lambda: .ci/requirements-lambda.txt ; python3 -m venv .venv && .venv/bin/pip install --quiet --requirement $< && touch $@ || { rm -rf .venv; exit 1; }
.venv/tests: .ci/requirements.txt .venv/lambda ; .venv/bin/pip install --quiet --requirement $< && touch $@
nfs: ; @python3 tests/nfs/run.py
