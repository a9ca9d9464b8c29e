"""What can go wrong, by what the caller has to do about it."""

from __future__ import annotations


class CbdcError(Exception):
    """Any error of this package."""


class BadRecord(CbdcError):
    """Bytes or text that are not what they should be: an account number, a record, a genesis."""


class BadProof(CbdcError):
    """A receipt, a header or a node's certificate that proves nothing under this genesis."""


class Refused(CbdcError):
    """The command did not settle, and its record never will if `final`; otherwise a copy of it may until
    `may_settle_until_ms`, and the wallet signs the next payment with the same sequence number.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        limit: int = 0,
        amount: int = 0,
        final: bool,
        later_may_help: bool = False,
        may_settle_until_ms: int | None = None,
        position: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.limit = limit
        self.amount = amount
        self.final = final
        self.later_may_help = later_may_help
        self.may_settle_until_ms = may_settle_until_ms
        self.position = position


class NoAnswer(CbdcError):
    """What became of the command is not known. Submit the same `record` again, never a new one for the same intent."""

    def __init__(self, why: str, record: bytes = b"") -> None:
        super().__init__(why)
        self.record = record


class NotServed(CbdcError):
    """A call that changes nothing failed; `reason` is the stable name if the node gave one."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}" if reason else message)
        self.reason = reason
