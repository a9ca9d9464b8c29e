"""Reads a merged sweep: CBDC held by households at the end, for each holding limit, over seeds.

    python examples/read_results.py results/sweeps/holding-limit

Needs pandas and pyarrow (examples/requirements.txt); polars reads the same files with `polars.read_parquet`.
"""

import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])
runs = pd.read_parquet(folder / "runs.parquet")
economy = pd.read_parquet(folder / "macro.parquet")

# The run index has a row for each run: settings, seed, scenario hash, digest, and the figures at the end.
limits = runs.groupby("design_name", sort=False)["cbdc_of_liquid_wealth"]
print(limits.describe(percentiles=[0.05, 0.5, 0.95]).mul(100).round(2).drop(columns="count"))

# All other tables join it on `run`. Amounts are in cents.
last = economy[economy["day"] == economy["day"].max()].merge(runs[["run", "design_name"]], on="run")
euros = last.groupby("design_name", sort=False)["cbdc_households_minor"].median() / 100
print(euros.rename("median CBDC of households at the end, EUR"))
