"""A registrar: certifies that a holder has a class and a key. On a development network anybody has its desk; elsewhere
a wallet sends holder, class and key to the registrar and gets a `Registration` back."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import ed25519, records
from .accounts import Account
from .errors import BadRecord

CLASSES = ("household", "merchant", "business", "government", "tier-1", "tier-2", "tier-3", "visitor")


@dataclass(frozen=True)
class Registration:
    """A registrar's certificate of a holder's key, for opening one wallet at one bank."""

    statement: bytes
    holder: bytes
    class_: str
    registrar: int
    registrar_key_version: int
    valid_until_ms: int
    signature: bytes


class Registrar:
    """A registrar's number and key."""

    def __init__(self, network_id: bytes, number: int, key: Ed25519PrivateKey, key_version: int = 0) -> None:
        self._network_id, self._number, self._key, self._key_version = network_id, number, key, key_version

    def register(self, bank: int, holder: bytes, class_: str, key: Ed25519PrivateKey) -> Registration:
        """Certifies a holder's key for one opening, until a day from now. `holder` is the 16 bytes by which the
        registrar knows the person."""
        if class_ not in CLASSES or len(holder) != 16:
            raise BadRecord(f"expected a class ({', '.join(CLASSES)}) and a holder of 16 bytes, found {class_!r}")
        valid_until_ms = int(time.time() * 1000) + 86_400_000
        statement = records.certified(
            1, CLASSES.index(class_), self._key_version, Account(bank, 0), 0, valid_until_ms, holder,
            ed25519.public_key(key),
        )  # fmt: skip
        signature = records.sign(self._key, self._network_id, statement, "CBDCcrt")[-64:]
        return Registration(statement, holder, class_, self._number, self._key_version, valid_until_ms, signature)
