#!/usr/bin/env bash
# Canaries of the simulated network: faults of the program, put in on purpose, each of which seeds must find.
#
#   simulations/network/canaries.sh      `make canaries` calls it
#
# Some are options of the program. The others are builds of their own, of a copy of this tree: with openraft 0.9.24,
# which could commit without a quorum, and with the patches in canaries/. The copy stays in the cache, so that a second
# run compiles only what has changed. For each canary it prints how many seeds have found it; exit code 1 if none has.

set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/setup.sh
program="$CARGO_TARGET_DIR/release/cbdc-simulate-network"
failed=0

# canary NAME PROGRAM ARGUMENT...
canary() {
    local name="$1"
    shift
    printf '%-28s ' "$name"
    "$@" --out "$CBDC_CACHE/canaries/found" 2>/dev/null | tail -n 1 || { failed=1; echo "$name: no seed has found it" >&2; }
}

cargo build --release --locked -p cbdc-network-simulation
for name in acknowledges-before-sync acknowledges-before-quorum skips-pre-votes; do
    canary "$name" "$program" --canary "$name" --seed 1 --seeds 60
done
canary accepts-before-sync "$program" --canary accepts-before-sync --seed 1 --seeds 200

tree="$CBDC_CACHE/canaries/tree"
mkdir -p "$tree"
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$tree"
for change in simulations/network/canaries/*.patch; do
    (cd "$tree" && git apply "$OLDPWD/$change")
done
sed -i 's/^openraft = { version = "[^"]*"/openraft = { version = "=0.9.24"/' "$tree/Cargo.toml"
broken="$CBDC_CACHE/canaries/cbdc-simulate-network"
(cd "$tree" && cargo update --quiet --package openraft --precise 0.9.24 && cargo build --release -p cbdc-network-simulation)
cp "$program" "$broken"
canary limit-per-wallet "$broken" --find LimitsHold --seed 1 --seeds 100
canary openraft-0.9.24 "$broken" --find CommittedByMajority --central-banks 7 --seed 1 --seeds 60
# What was built there took the program's place.
cargo build --quiet --release --locked -p cbdc-network-simulation
exit "$failed"
