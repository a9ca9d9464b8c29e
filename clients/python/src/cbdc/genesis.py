"""Genesis: the bytes that name a network, its members and their keys. Trust in it is all that a client needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from blake3 import blake3

from .errors import BadRecord

CENTRAL_BANK = 1
BANK = 4
REGISTRAR = 5
_ROLES = range(1, 8)


@dataclass(frozen=True)
class Member:
    """A member that genesis names."""

    role: int
    id: int
    name: str
    signing_key: bytes
    node_key: bytes | None


@dataclass(frozen=True)
class Genesis:
    """The head and the members of a genesis. The opening books and the first policy follow; they are hashed only."""

    network_id: bytes
    format: int
    currency: str
    currency_exponent: int
    created_at_ms: int
    validity_ms_max: int
    header_signatures: int
    threshold: int
    members: tuple[Member, ...]

    @classmethod
    def parse(cls, data: bytes) -> Genesis:
        try:
            return cls._parse(data)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise BadRecord(f"expected a genesis, found {len(data)} bytes that are none: {error}") from error

    @classmethod
    def _parse(cls, data: bytes) -> Genesis:
        version, currency, exponent, day_count, _, created, validity, signatures, threshold, count = struct.unpack_from(
            "<B3sBBhQQHHI", data
        )
        if version not in (1, 2) or day_count not in (1, 2) or exponent > 6:
            raise BadRecord(f"expected a genesis of version 1 or 2, found version {version}")
        at, members = 32, []
        for _ in range(count):
            role, number, length = struct.unpack_from("<BHB", data, at)
            name = data[at + 4 : at + 4 + length]
            at += 4 + length
            signing_key, has_node_key, node_key = struct.unpack_from("<32sB32s", data, at)
            at += 65
            if role not in _ROLES or not 1 <= length <= 64 or has_node_key > 1:
                raise BadRecord(f"expected a member with a known role and a name of 1 to 64 bytes, found role {role}")
            members.append(Member(role, number, name.decode(), signing_key, node_key if has_node_key else None))
        nodes = sum(member.role == CENTRAL_BANK for member in members)
        if not 1 <= signatures <= nodes:
            raise BadRecord(f"expected 1 to {nodes} header signatures, found {signatures}")
        network_id = blake3(data).digest()
        return cls(
            network_id, version, currency.decode("ascii"), exponent, created, validity, signatures, threshold,
            tuple(members),
        )  # fmt: skip

    def member(self, role: int, number: int) -> Member:
        for member in self.members:
            if (member.role, member.id) == (role, number):
                return member
        raise BadRecord(f"expected a member with role {role} and number {number} in genesis, found none")
