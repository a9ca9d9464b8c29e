#!/bin/bash
# Runs examples/read_results.py on a tiny sweep: pandas must read the tables and find the figures of summary.json.
#
#   CBDC=PROGRAM examples/test.sh      PROGRAM takes the arguments of `cbdc`; `make test-python` builds one
#
# The virtual environment is created once in CBDC_CACHE (else the user's cache); its packages are pinned.

set -eu
here="$(cd "$(dirname "$0")" && pwd)"
export CBDC="${CBDC:?expected CBDC to name the program, found none: use make test-python}"
environment="${CBDC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cbdc-ledger}/python"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "test-python: expected Python 3 with venv: install python3-venv" >&2; exit 1; }
    echo "test-python: installing python3-venv" >&2
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
fi
if ! cmp -s "$here/requirements.txt" "$environment/requirements.txt"; then
    echo "test-python: installing $(tr '\n' ' ' < "$here/requirements.txt")into $environment" >&2
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$environment/requirements.txt"
fi

printf '[households]\ncount = 150\n[firms]\ncount = 8\n[banks]\ncount = 3\n'\
'[time]\ndays = 60\n[adoption]\ninnovation = 2.0\n' > "$work/small.toml"
printf 'scenario = "small.toml"\nseeds = 4\n'\
'[grid]\npolicy.holding_limit_minor = [20_000, 300_000, "none"]\n' > "$work/plan.toml"
"$CBDC" sweep plan "$work/plan.toml" --out "$work/out" >/dev/null
"$CBDC" sweep run "$work/out" >/dev/null
"$CBDC" sweep merge "$work/out" >/dev/null
"$environment/bin/python" "$here/read_results.py" "$work/out"
"$environment/bin/python" - "$work/out" <<'CHECK'
import json, sys
from pathlib import Path
import pandas as pd
folder = Path(sys.argv[1])
summary = json.loads((folder / "summary.json").read_text())
runs = pd.read_parquet(folder / "runs.parquet")
assert len(runs) == summary["runs"] == 12 and runs["digest"].nunique() == 12, runs
assert list(runs["policy.holding_limit_minor"].unique()) == ["20000", "300000", "none"]
for design in summary["designs"]:
    mine = runs[runs["design"] == design["design"]]
    for name, quantiles in design["figures"].items():
        for key, share in [("p05", 0.05), ("p25", 0.25), ("median", 0.5), ("p75", 0.75), ("p95", 0.95)]:
            expected = mine[name].quantile(share)
            found = quantiles[key]
            assert abs(found - expected) <= 1e-9 * max(1.0, abs(expected)), (name, key, found, expected)
for table, rows in summary["rows"].items():
    frame = pd.read_parquet(folder / f"{table}.parquet")
    assert len(frame) == rows, (table, len(frame), rows)
    assert "run" in frame, table
    if table == "macro":
        without_limit = frame["run"].isin(runs.loc[runs["policy.holding_limit_minor"] == "none", "run"])
        assert (frame.pop("holding_limit_minor").isna() == without_limit).all(), "macro.holding_limit_minor"
    assert not frame.isna().any().any(), (table, frame.columns[frame.isna().any()].tolist())
print("test-python: pandas reads every table, and finds the percentiles of summary.json")
CHECK
echo "1 passed, 0 failed"
