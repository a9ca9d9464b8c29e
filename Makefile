# The common tasks. Each sets up what it needs, says what it does, and may be run again.
#
#   make demo    build, run a real network under load, audit it, leave a report
#   make test    all tests
#   make lint    formatting, clippy, and whether the fuzz targets compile
#   make deny    licences, bans and sources of all dependencies, offline (needs cargo-deny)
#   make faults  real faults on a network of three central-bank nodes, every answer checked: MINUTES=30 SEED=4711
#   make simulate-network  the whole network on one thread, fault by fault, from seeds: SEEDS=1000 or MINUTES=2
#   make canaries    faults put into the program on purpose, each of which seeds of the simulated network must find
#   make bench   all criterion benchmarks; those of one crate: cargo bench -p cbdc-ledger
#   make up      a development network in the foreground
#   make test-slurm    a sweep through a Slurm of this one machine (installs it; skipped where that is impossible)
#   make test-python   the example that reads a sweep's tables with pandas
#   make test-clients  the clients in Python and TypeScript against a development network

SHELL := /bin/bash
SETUP := source deploy/setup.sh
SCENARIO ?= simulations/load/quickstart.toml
OUT ?= results/$(basename $(notdir $(SCENARIO)))

MINUTES ?= 30
SEEDS ?= 1000

.PHONY: demo test lint deny faults simulate-network canaries bench up build sweep test-slurm test-python test-clients

build:
	@$(SETUP) && cargo build --release --locked -p cbdc

demo: build
	@$(SETUP) && "$$CARGO_TARGET_DIR/release/cbdc" bench $(SCENARIO) --out $(OUT)

up: build
	@$(SETUP) && "$$CARGO_TARGET_DIR/release/cbdc" up

# The signatures are tested by themselves, in a target folder of their own: the library that they are compared with
# turns on features of dependencies that everything else shares, and everything would be compiled anew. They are
# compiled and run while the other tests run, many of which wait for deadlines; so more of those run at once than there
# are cores.
test: export RUST_TEST_THREADS ?= $(shell n=$$(nproc); echo $$((n > 4 ? n : 4)))
test:
	@$(SETUP) && cargo test --release --locked --workspace --exclude cbdc-signatures --no-run && { \
	    log="$$CARGO_TARGET_DIR/signatures.log"; \
	    cargo test --release --locked -p cbdc-signatures --target-dir "$$CARGO_TARGET_DIR/signatures" >"$$log" 2>&1 & \
	    signatures=$$!; failed=0; trap "kill $$signatures 2>/dev/null" EXIT; \
	    cargo test --release --locked --workspace --exclude cbdc-signatures || failed=1; \
	    echo "make test: the signatures' tests, which ran meanwhile"; \
	    wait $$signatures || failed=1; cat "$$log"; exit $$failed; }

lint:
	@$(SETUP) && cargo fmt --all --check && cargo clippy --release --locked --workspace --all-targets -- -D warnings \
	    && RUSTC_BOOTSTRAP=1 cargo check --quiet --locked --manifest-path fuzz/Cargo.toml

bench:
	@$(SETUP) && cargo bench --locked --profile release -p cbdc-signatures -p cbdc-ledger -p cbdc-economy -p cbdc-storage --bench '*'

faults: build
	@$(SETUP) && "$$CARGO_TARGET_DIR/release/cbdc" bench faults --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

simulate-network:
	@$(SETUP) && cargo build --release --locked -p cbdc-network-simulation && \
	    "$$CARGO_TARGET_DIR/release/cbdc-simulate-network" --known simulations/network/seeds.txt \
	    $(if $(filter command line,$(origin MINUTES)),--minutes $(MINUTES),--seeds $(SEEDS))

canaries:
	@simulations/network/canaries.sh

# The three steps of a sweep alone: it needs no RocksDB.
sweep:
	@CBDC_WITHOUT_ROCKSDB=1; $(SETUP) && cargo build --release --locked -p cbdc-sweep --example sweep

test-slurm: sweep
	@CBDC_WITHOUT_ROCKSDB=1; $(SETUP) && CBDC="$$CARGO_TARGET_DIR/release/examples/sweep" deploy/slurm/test.sh

test-python: sweep
	@CBDC_WITHOUT_ROCKSDB=1; $(SETUP) && CBDC="$$CARGO_TARGET_DIR/release/examples/sweep" examples/test.sh

test-clients: build
	@$(SETUP) && CBDC="$$CARGO_TARGET_DIR/release/cbdc" clients/test.sh

# Advisories need the network: `cargo deny check advisories`.
deny:
	@command -v cargo-deny >/dev/null || { echo "expected cargo-deny on the PATH, found none: \`cargo install --locked cargo-deny\`" >&2; exit 1; }
	@cargo fetch --locked --quiet && cargo deny --offline check licenses bans sources
