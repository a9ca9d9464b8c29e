"""Prints what happens to a wallet: `watch.py NETWORK NAME [LINES]`, for LINES lines or for good."""

import sys
from itertools import islice

from cbdc import Network

folder, name = sys.argv[1:3]
lines = int(sys.argv[3]) if len(sys.argv) > 3 else None
with Network.open(folder) as network:
    for entry in islice(network.wallet(name).watch((0, -1)), lines):
        height, index = entry.position
        print(f"{height}:{index} {entry.kind} {entry.reason} +{entry.credits} -{entry.debits} = {entry.balance}")
