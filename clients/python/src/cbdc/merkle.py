"""Merkle trees of the shape of RFC 6962 with keyed BLAKE3."""

from __future__ import annotations

from collections.abc import Sequence

from blake3 import blake3

LEAF_KEY = b"cbdc ledger v1: leaf of a block."
NODE_KEY = b"cbdc ledger v1: node of a block."


def leaf_hash(data: bytes) -> bytes:
    return blake3(data, key=LEAF_KEY).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return blake3(left + right, key=NODE_KEY).digest()


def root_from_path(leaf: bytes, index: int, leaf_count: int, path: Sequence[bytes]) -> bytes | None:
    """The root to which an audit path leads; `None` if it has the wrong length for the index."""
    if not 0 <= index < leaf_count or any(len(sibling) != 32 for sibling in path):
        return None
    at, last, result, siblings = index, leaf_count - 1, leaf, list(path)
    while last > 0:
        if at % 2 == 1 or at < last:
            if not siblings:
                return None
            sibling = siblings.pop(0)
            result = node_hash(sibling, result) if at % 2 == 1 else node_hash(result, sibling)
        at, last = at // 2, last // 2
    return None if siblings else result
