"""Account numbers: a bank and a serial, shown in IBAN form."""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import BadRecord

_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015]")


class Account(NamedTuple):
    """A wallet, or with serial 0 a bank's treasury."""

    bank: int
    serial: int

    @property
    def id(self) -> int:
        """The number in records: bank * 2^32 + serial."""
        return self.bank << 32 | self.serial

    @classmethod
    def of_id(cls, number: int) -> Account:
        if number >> 48:
            raise BadRecord(f"expected an account of 48 bits, found {number}")
        return cls(number >> 32, number & 0xFFFF_FFFF)

    @classmethod
    def parse(cls, text: str) -> Account:
        """Reads the IBAN form, with or without spaces or hyphens."""

        def wrong(why: str) -> BadRecord:
            return BadRecord(f"expected an account number such as {cls(1, 7)}, found {text[:40]!r}: {why}")

        compact = _SEPARATORS.sub("", text[:80]).upper()
        compact = compact.removeprefix("IBAN").removeprefix(":")
        if not re.fullmatch(r"XC[0-9]{17}", compact):
            raise wrong("XC must be followed by 17 digits")
        if compact[2:4] != _check_digits(compact[4:]):
            raise wrong("its check digits do not fit; a digit may be mistyped")
        bank, serial = int(compact[4:9]), int(compact[9:])
        if bank > 0xFFFF or serial > 0xFFFF_FFFF:
            raise wrong("bank or serial are too large")
        return cls(bank, serial)

    def __str__(self) -> str:
        number = f"{self.bank:05}{self.serial:010}"
        return f"XC{_check_digits(number)}{number}"


def _check_digits(number: str) -> str:
    """ISO 7064 MOD 97-10 over the number, the country as digits (X=33, C=12) and 00."""
    return f"{98 - int(number + '331200') % 97:02}"
