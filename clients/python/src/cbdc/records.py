"""Signed records: fixed layouts, little-endian, signed behind a prefix that names purpose and network."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .accounts import Account
from .errors import BadRecord

TRANSFER, DEFUND, FUND, HOLD = 1, 2, 3, 4
DESIGNATE_WALLET, LINK_BANK, MOVE_WALLET = 20, 24, 25
FLAG_TOP_UP = 1
SIGNED_PAYMENT_BYTES = 136

_HEAD = struct.Struct("<BBHIQQ")
_PAYMENT = struct.Struct("<BBHIQQQQQQ16s")
_HOLD = struct.Struct("<QQQQQ16s")
_STATEMENT = struct.Struct("<BBBxIQI4xQ16s32s")
_CONSENT = struct.Struct("<I4xQ64s")
_SESSION = struct.Struct("<BxHIQQ32s")


def prefix(tag: str, network_id: bytes) -> bytes:
    """The 40 bytes that precede what is signed: version 1, the domain tag such as `CBDCcmd`, the network's id."""
    return b"\x01" + tag.encode("ascii") + network_id


def sign(key: Ed25519PrivateKey, network_id: bytes, record: bytes, tag: str = "CBDCcmd") -> bytes:
    """The record and its signature, 64 bytes."""
    return record + key.sign(prefix(tag, network_id) + record)


@dataclass(frozen=True)
class Payment:
    """A transfer, defund or fund: 72 bytes, 136 with the signature."""

    payer: Account
    payee: Account
    amount: int
    sequence: int
    valid_until_ms: int
    max_fee: int = 0
    reference: bytes = bytes(16)
    key_version: int = 0
    kind: int = TRANSFER
    top_up: bool = False

    def encode(self) -> bytes:
        if len(self.reference) > 16:
            raise BadRecord(f"expected a reference of at most 16 bytes, found {len(self.reference)}")
        try:
            return _PAYMENT.pack(
                1, self.kind, FLAG_TOP_UP if self.top_up else 0, self.key_version, self.sequence, self.valid_until_ms,
                self.payer.id, self.payee.id, self.amount, self.max_fee, self.reference,
            )  # fmt: skip
        except struct.error as error:
            raise BadRecord(f"expected amounts and numbers of 64 bits, not below 0: {error}") from error

    @classmethod
    def decode(cls, record: bytes) -> Payment:
        """Reads a payment, with its signature or without."""
        if len(record) not in (_PAYMENT.size, SIGNED_PAYMENT_BYTES):
            raise BadRecord(f"expected a payment of 72 or 136 bytes, found {len(record)}")
        fields = _PAYMENT.unpack_from(record)
        version, kind, flags, key_version, sequence, valid_until_ms, payer, payee, amount, max_fee, reference = fields
        if version != 1 or kind not in (TRANSFER, DEFUND, FUND) or flags > (kind == TRANSFER):
            raise BadRecord(f"expected a payment of version 1, found version {version}, kind {kind}, flags {flags}")
        return cls(
            Account.of_id(payer), Account.of_id(payee), amount, sequence, valid_until_ms, max_fee, reference,
            key_version, kind, bool(flags),
        )  # fmt: skip


def sign_payment(key: Ed25519PrivateKey, network_id: bytes, payment: Payment) -> bytes:
    return sign(key, network_id, payment.encode())


def sign_payments(key: Ed25519PrivateKey, network_id: bytes, payments: Iterable[Payment]) -> bytes:
    """Signed payments back to back, as a stream carries them."""
    before, make = prefix("CBDCcmd", network_id), key.sign
    records = (payment.encode() for payment in payments)
    return b"".join(part for record in records for part in (record, make(before + record)))


def head(kind: int, sequence: int, valid_until_ms: int, key_version: int = 0, flags: int = 0) -> bytes:
    return _HEAD.pack(1, kind, flags, key_version, sequence, valid_until_ms)


def hold(
    head_bytes: bytes, payer: Account, payee: Account, maximum: int, max_fee: int, expires_at_ms: int, reference: bytes
) -> bytes:
    return head_bytes + _HOLD.pack(payer.id, payee.id, maximum, max_fee, expires_at_ms, reference)


def consent(bank_key_version: int, valid_until_ms: int, signature: bytes) -> bytes:
    """A bank's consent as a holder's record carries it."""
    return _CONSENT.pack(bank_key_version, valid_until_ms, signature)


def account_and_bank(head_bytes: bytes, account: Account, bank: int, consent_bytes: bytes = bytes(80)) -> bytes:
    """Link-bank (bank 0 revokes) and move-wallet."""
    return head_bytes + struct.pack("<QH6x", account.id, bank) + consent_bytes


def designate(head_bytes: bytes, account: Account) -> bytes:
    return head_bytes + struct.pack("<Q", account.id)


def certified(
    purpose: int, class_: int, registrar_key_version: int, account: Account, version: int, valid_until_ms: int,
    holder: bytes, key: bytes,
) -> bytes:  # fmt: skip
    """The statement that a registrar certifies and the holder agrees to: purpose 1 opens, 2 replaces a key."""
    return _STATEMENT.pack(2, purpose, class_, registrar_key_version, account.id, version, valid_until_ms, holder, key)


def session(bank: int, key_version: int, account: Account, expires_at_ms: int, challenge: bytes) -> bytes:
    """The statement that opens a session with a bank."""
    return _SESSION.pack(1, bank, key_version, account.id, expires_at_ms, challenge)
