#!/bin/bash
# Runs deploy/slurm/sweep.sbatch for real, on a Slurm of this one machine, and compares with a run without Slurm.
#
#   CBDC=PROGRAM deploy/slurm/test.sh      PROGRAM takes the arguments of `cbdc`; `make test-slurm` builds one
#
# 1. Slurm is started (one-machine.sh). Where it cannot be installed the test is skipped, with a message.
# 2. A plan of 12 runs is simulated in 3 parts by a Slurm array, and once without Slurm: all merged files must be
#    identical.
# 3. An array numbered from 1 must be refused in each task, and a part that is submitted again must find nothing to do.
# The daemons that it started are stopped at the end, however it ends.

set -eu
here="$(cd "$(dirname "$0")" && pwd)"
export CBDC="${CBDC:?expected CBDC to name the program, found none: use make test-slurm}"
work="$(mktemp -d)"
export CBDC_SLURM="$work/slurm"
trap '"$here/one-machine.sh" stop; rm -rf "$work"' EXIT
fail() { echo "test-slurm: $*" >&2; cat "$work"/*.out >&2 || true; exit 1; }

"$here/one-machine.sh" start || {
    code=$?
    [ "$code" = 3 ] || exit "$code"
    echo "test-slurm: skipped: Slurm cannot be installed here (see above)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
source "$CBDC_SLURM/environment"

printf '[households]\ncount = 150\n[firms]\ncount = 8\n[banks]\ncount = 3\n'\
'[time]\ndays = 60\n[adoption]\ninnovation = 2.0\n' > "$work/small.toml"
printf 'scenario = "small.toml"\nseeds = 4\n'\
'[grid]\npolicy.holding_limit_minor = [20_000, 300_000, "none"]\n' > "$work/plan.toml"
"$CBDC" sweep plan "$work/plan.toml" --out "$work/slurm-results" >/dev/null
"$CBDC" sweep plan "$work/plan.toml" --out "$work/alone" >/dev/null

submit() { sbatch --parsable --wait --output="$work/%A-%a.out" "$@" "$here/sweep.sbatch" "$work/slurm-results"; }
submit --array=1-3 >/dev/null && fail "an array numbered from 1 was accepted"
grep -q -- '--array=0-2' "$work"/*-1.out || fail "the refusal does not say how to number the array"
[ ! -e "$work/slurm-results/runs" ] || fail "a refused array left runs"

submit --array=0-2 >/dev/null || fail "the array failed"
again="$(PARTS=3 submit --array=1)" || fail "a part submitted again failed"
grep -Eq '4 done before|"skipped":4' "$work/$again-1.out" || fail "a part submitted again did not skip its 4 runs"

"$CBDC" sweep run "$work/alone" >/dev/null
for folder in slurm-results alone; do "$CBDC" sweep merge "$work/$folder" >/dev/null; done
files=0
for file in "$work"/alone/*.*; do
    cmp "$file" "$work/slurm-results/$(basename "$file")" ||
        fail "$(basename "$file") differs between Slurm and without"
    files=$((files + 1))
done
[ "$files" -ge 9 ] || fail "expected 9 merged files, found $files"
echo "test-slurm: 12 runs in a Slurm array of 3 parts: $files merged files, the same bytes as without Slurm"
echo "1 passed, 0 failed"
