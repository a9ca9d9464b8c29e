"""Receipts, verified from genesis alone: no server, no other trust."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blake3 import blake3

from . import ed25519, merkle, reasons
from .contract import Receipt
from .errors import BadProof, BadRecord
from .genesis import CENTRAL_BANK, Genesis
from .records import Payment, prefix

HEADER_BYTES = 400
OUTCOME_BYTES = 24


# Kind, and the command's length with its signature; 0 where the length varies.
_LENGTHS = {
    1: 136, 2: 136, 3: 136, 4: 144, 5: 112, 6: 112, 7: 240, 17: 96, 20: 96, 21: 112, 22: 288, 23: 280, 24: 184,
    25: 184, 32: 200, 33: 200, 34: 104, 35: 112, 36: 112, 37: 112, 38: 112, 39: 112, 40: 112, 41: 112, 42: 112,
    43: 112, 44: 112, 45: 112, 46: 104, 47: 112, 48: 128, 49: 128, 50: 144, 51: 112, 64: 0, 65: 104,
}  # fmt: skip


@dataclass(frozen=True)
class VerifiedReceipt:
    """A command's place and outcome in a block that the central bank signed. `verify_receipt` makes it."""

    height: int
    index: int
    time_ms: int
    policy_version: int
    reason_code: int
    fee: int
    limit: int
    amount: int
    command: bytes
    signers: tuple[int, ...]

    @property
    def settled(self) -> bool:
        return self.reason_code == 0

    @property
    def reason(self) -> str:
        """The stable name, such as `SETTLED`."""
        return reasons.name(self.reason_code)

    @property
    def command_hash(self) -> bytes:
        return blake3(self.command).digest()

    @property
    def payment(self) -> Payment:
        """The payment, if the command is one."""
        return Payment.decode(self.command)


def verify_receipt(genesis: Genesis, message: bytes) -> VerifiedReceipt:
    """Verifies a receipt as it is saved and sent: the message `cbdc.v1.Receipt`."""
    try:
        receipt = Receipt.FromString(message)
    except Exception as error:  # protobuf has no common error class across its implementations
        raise BadRecord(f"expected a receipt, found {len(message)} bytes that are none") from error
    signatures = [(signature.node, signature.signature) for signature in receipt.header.signatures]
    return verify_parts(
        genesis, receipt.header.header, signatures, receipt.index, receipt.command, receipt.outcome, receipt.path
    )


def verify_parts(
    genesis: Genesis,
    header: bytes,
    signatures: Iterable[tuple[int, bytes]],
    index: int,
    command: bytes,
    outcome: bytes,
    path: Sequence[bytes],
) -> VerifiedReceipt:
    """The steps of docs/reference/wire.md, in its order."""
    if len(header) != HEADER_BYTES or header[0] not in (1, 2) or len(outcome) != OUTCOME_BYTES:
        raise BadProof("expected a header of 400 bytes in version 1 or 2 and an outcome of 24 bytes")
    if any(header[1:4]) or any(header[188:192]) or any(header[328:]):
        raise BadProof("expected zeros in the reserved bytes of the header")
    if header[0] == 1 and (any(header[120:152]) or any(header[296:328])):
        raise BadProof("expected no root over the state in version 1")
    count, height, time_ms = struct.unpack_from("<IQQ", header, 4)
    if merkle.root_from_path(leaf(index, command, outcome), index, count, path) != header[56:88]:
        raise BadProof(f"the path does not lead to the commands root of block {height}")
    signers = _signers(genesis, header, signatures)
    if len(signers) < genesis.header_signatures:
        raise BadProof(f"block {height} has {len(signers)} valid signatures, {genesis.header_signatures} are required")
    length = _LENGTHS.get(command[1] if len(command) > 1 else 0)
    if length is None or command[0] != 1 or length not in (0, len(command)):
        raise BadProof("expected a command of a known kind, with the length of that kind")
    reason, fee_low, fee_high, limit, amount = struct.unpack("<HIHQQ", outcome)
    (policy_version,) = struct.unpack_from("<I", header, 184)
    return VerifiedReceipt(
        height, index, time_ms, policy_version, reason, fee_high << 32 | fee_low, limit, amount, command, signers
    )


def leaf(index: int, command: bytes, outcome: bytes) -> bytes:
    """The hash of a command's leaf: index, length, outcome, command, zeros up to a multiple of 64 bytes."""
    data = struct.pack("<II", index, len(command)) + outcome + command
    return merkle.leaf_hash(data + bytes(-len(data) % 64))


def _signers(genesis: Genesis, header: bytes, signatures: Iterable[tuple[int, bytes]]) -> tuple[int, ...]:
    message = prefix("CBDChdr", genesis.network_id) + blake3(header).digest()
    keys = {member.id: member.signing_key for member in genesis.members if member.role == CENTRAL_BANK}
    valid = {node for node, signature in signatures if node in keys and ed25519.verify(keys[node], message, signature)}
    return tuple(sorted(valid))
