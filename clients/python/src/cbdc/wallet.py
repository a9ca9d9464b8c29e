"""A wallet: a key, an account, and the bank that serves it."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import contract, ed25519, records
from .accounts import Account
from .errors import BadProof, NoAnswer, NotServed, Refused
from .network import DEADLINE_S, Network
from .receipts import VerifiedReceipt
from .records import Payment
from .registrar import Registration
from .sequences import Sequences
from .stream import PaymentStream

_RE_SIGNATURES_MAX = 16
_SAY_USED = ("SEQUENCE_USED", "SEQUENCE_CONFLICT")
#: A copy of what was sent may have been ordered.
_OPEN = {
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED, grpc.StatusCode.DATA_LOSS,
}  # fmt: skip


@dataclass(frozen=True)
class Settled:
    """A payment that settled, at a place in the chain; `record` is what was signed."""

    height: int
    index: int
    fee: int
    amount: int
    record: bytes


@dataclass(frozen=True)
class WalletState:
    """A wallet as its bank sees it, in minor units."""

    account: Account
    posted: int
    available: int
    held: int
    next_sequence: int
    key_version: int
    height: int


@dataclass(frozen=True)
class Entry:
    """A line of the wallet's statement: what one command, or the ledger's own work in a block, did to it."""

    height: int
    index: int
    time_ms: int
    kind: str
    payer: str
    payee: str
    amount: int
    reference: bytes
    sequence: int
    reason: str
    credits: int
    debits: int
    balance: int

    @property
    def position(self) -> tuple[int, int]:
        """The ledger's own work, with the largest index, is done at the beginning of its block."""
        return (self.height, -1 if self.index == 0xFFFF_FFFF else self.index)


class Wallet:
    """An open wallet. Keep one object: it counts sequence numbers and keeps the session with its bank. Its methods may
    be called from several threads."""

    def __init__(self, network: Network, key: Ed25519PrivateKey, account: Account, key_version: int = 0) -> None:
        self.network, self.account = network, account
        self._key, self._key_version = key, key_version
        self._stub = contract.WalletStub(network.channel(account.bank))
        self._lock = threading.Lock()
        self._token: str | None = None
        self._token_until = 0.0
        self._sequences = Sequences(lambda: self.state().next_sequence)

    @classmethod
    def open(cls, network: Network, at_bank: int, key: Ed25519PrivateKey, registration: Registration) -> Wallet:
        """Opens a wallet for a registered key. Safe to repeat."""
        agreement = records.sign(key, network.network_id, registration.statement, "CBDCagr")[-64:]
        request = contract.OpenWallet(
            holder=registration.holder,
            public_key=ed25519.public_key(key),
            registrar=registration.registrar,
            registrar_key_version=registration.registrar_key_version,
            registrar_signature=registration.signature,
            certificate_valid_until_ms=registration.valid_until_ms,
            agreement=agreement,
            **{"class": registration.class_},
        )
        stub = contract.WalletStub(network.channel(at_bank))
        answer = _ask(lambda: stub.OpenWallet(request, timeout=DEADLINE_S))
        if answer.HasField("outcome") and not answer.outcome.settled:
            raise _refused_by_ledger(answer.outcome)
        return cls(network, key, Account.parse(answer.account))

    # Paying

    def pay(
        self,
        to: Account | str,
        amount: int,
        *,
        reference: bytes | None = None,
        max_fee: int = 0,
        timeout_s: float = 30.0,
    ) -> Settled:
        """Pays, and returns when the payment has settled. The reference is at most 16 bytes, random unless given.

        Raises `Refused` if it did not, and `NoAnswer` if that is not known within the timeout: `submit` the record of
        the error again, whenever you like. A program that must survive its own crash signs with `sign`, saves the
        record, and then submits it.
        """
        attempts = 0
        while True:
            ahead = random.randrange(2 ** min(attempts, 5))
            record = self._sign(to, amount, reference, max_fee, ahead)
            sequence = Payment.decode(record).sequence
            try:
                return self.submit(record, timeout_s=timeout_s)
            except Refused as refusal:
                # Another program with this key was faster, and this record can never settle.
                was_taken = refusal.reason == "SEQUENCE_CONFLICT" and not self._sequences.is_contested(sequence)
                attempts += 1
                if not was_taken or attempts > _RE_SIGNATURES_MAX:
                    raise
                self._sequences.refresh()

    def sign(self, to: Account | str, amount: int, *, reference: bytes | None = None, max_fee: int = 0) -> bytes:
        """A signed transfer with the next unused sequence number, not sent."""
        return self._sign(to, amount, reference, max_fee, 0)

    def _sign(self, to: Account | str, amount: int, reference: bytes | None, max_fee: int, ahead: int) -> bytes:
        payee = Account.parse(to) if isinstance(to, str) else to
        # Of two programs with one key, each must sign a record of its own for its own purpose: the same bytes would
        # settle once and be answered twice.
        named = os.urandom(16) if reference is None else reference
        until = self.network.valid_until_ms()
        payment = Payment(self.account, payee, amount, 0, until, max_fee, named, self._key_version)
        payment.encode()  # a record that cannot be made takes no number
        payment = Payment(**{**payment.__dict__, "sequence": self._sequences.take(ahead)})
        return records.sign_payment(self._key, self.network.network_id, payment)

    def submit(self, record: bytes, *, timeout_s: float = 30.0) -> Settled:
        """Submits a signed payment, again and again until its outcome is known. Safe to repeat at any time."""
        payment, deadline, pause = Payment.decode(record), time.monotonic() + timeout_s, 0.05
        request = contract.SubmitTransfer(payment=_message(payment, record))
        while True:
            try:
                answer = self._stub.SubmitTransfer(request, timeout=DEADLINE_S)
                return self._of_outcome(payment, record, answer.outcome)
            except grpc.RpcError as error:
                refusal = _refusal(error)
                if refusal is not None:
                    is_another = refusal.reason == "SEQUENCE_CONFLICT" and refusal.final
                    if refusal.reason in _SAY_USED and not is_another:
                        return self._of_used_number(payment, record, refusal)
                    self._settle(payment.sequence, refusal)
                    raise refusal from error
                if time.monotonic() + pause > deadline:
                    raise NoAnswer(f"not known after {timeout_s} s: {error.details()}", record) from error
                time.sleep(pause)
                pause = min(2 * pause, 1.0)

    def _of_outcome(self, payment: Payment, record: bytes, outcome: Any) -> Settled:
        if outcome.settled:
            self._settle(payment.sequence, None)
            return Settled(outcome.height, outcome.index, outcome.fee_minor, payment.amount, record)
        refusal = _refused_by_ledger(outcome)
        self._settle(payment.sequence, refusal)
        raise refusal

    def _of_used_number(self, payment: Payment, record: bytes, refusal: Refused) -> Settled:
        """The number was used: by this record, or by another? The chain says."""
        try:
            receipt = self.receipt(payment.sequence)
        except NotServed as error:
            raise NoAnswer(
                f"sequence number {payment.sequence} was used; by what is not known: {error}", record
            ) from error
        if receipt.command != record:
            self._settle(payment.sequence, refusal)
            raise Refused("SEQUENCE_CONFLICT", "another record has used the sequence number", final=True) from refusal
        self._settle(payment.sequence, None)
        if not receipt.settled:
            place = (receipt.height, receipt.index)
            raise Refused(receipt.reason, "see docs/reference/reasons.md", final=True, position=place)
        return Settled(receipt.height, receipt.index, receipt.fee, payment.amount, record)

    def stream(self, in_flight_max: int = 32) -> PaymentStream:
        """A stream of packed batches to this wallet's bank, for payments of any of its customers."""
        return PaymentStream(self._stub, in_flight_max)

    def fund(self, amount: int, request_id: bytes, *, timeout_s: float = 30.0) -> None:
        """Moves money from the deposit to the wallet, once under a `request_id`: 16 random bytes (`os.urandom(16)`)
        that the caller keeps until it has the answer. After `NoAnswer` call again with the same ones."""
        request = contract.Fund(account=str(self.account), amount_minor=amount, request_id=request_id)
        deadline, pause = time.monotonic() + timeout_s, 0.05
        while True:
            try:
                answer = self._in_session(self._stub.Fund, request)
                break
            except NotServed as error:
                status = error.__cause__
                refusal = _refusal(status) if isinstance(status, grpc.RpcError) else None
                if refusal is not None:
                    raise refusal from error
                if time.monotonic() + pause > deadline:
                    raise NoAnswer(f"not known after {timeout_s} s: {error}") from error
                time.sleep(pause)
                pause = min(2 * pause, 1.0)
        if not answer.outcome.settled:
            raise _refused_by_ledger(answer.outcome)

    def deposit(self) -> int:
        """The balance of the wallet's deposit at its bank, in minor units."""
        request = contract.GetDeposit(account=str(self.account))
        return int(self._in_session(self._stub.GetDeposit, request).balance_minor)

    # Reading

    def state(self) -> WalletState:
        found = self._in_session(self._stub.GetWallet, contract.GetWallet(account=str(self.account)))
        return WalletState(
            Account.parse(found.account), found.posted_minor, found.available_minor, found.held_minor,
            found.next_sequence, found.key_version, found.height,
        )  # fmt: skip

    def balance(self) -> int:
        """What can be spent now, in minor units."""
        return self.state().available

    def receipt(self, sequence: int) -> VerifiedReceipt:
        """The verified receipt of the command with a sequence number of this wallet."""
        number = contract.SequenceNumber(account=str(self.account), sequence=sequence)
        return self._verified(
            self._in_session(self._stub.GetReceipt, contract.GetReceipt(sequence=number)), sequence, None
        )

    def receipt_at(self, height: int, index: int) -> VerifiedReceipt:
        """The verified receipt of the command at a place in the chain, which must name this wallet."""
        place = contract.BlockPosition(height=height, index=index)
        found = self._in_session(self._stub.GetReceipt, contract.GetReceipt(position=place))
        return self._verified(found, None, (height, index))

    def receipt_bytes(self, height: int, index: int) -> bytes:
        """The same as bytes to keep; `verify_receipt` reads them, with genesis alone."""
        place = contract.BlockPosition(height=height, index=index)
        found = self._in_session(self._stub.GetReceipt, contract.GetReceipt(position=place))
        self._verified(found, None, (height, index))
        return bytes(found.SerializeToString())

    def _verified(self, message: Any, sequence: int | None, position: tuple[int, int] | None) -> VerifiedReceipt:
        receipt = self.network.verify_receipt(message.SerializeToString())
        # A sound receipt of another command proves nothing of this one.
        if position is not None and position != (receipt.height, receipt.index):
            raise BadProof(f"expected the receipt of command {position}, found {receipt.height}:{receipt.index}")
        if sequence is not None:
            # A topped-up transfer lies within its bank's command of kind 7.
            start = 40 if receipt.command[1] == 7 else 0
            signer = int.from_bytes(receipt.command[start + 24 : start + 32], "little")
            found = int.from_bytes(receipt.command[start + 8 : start + 16], "little")
            if (found, signer) != (sequence, self.account.id):
                raise BadProof(f"expected sequence number {sequence}, found a receipt of {found} of account {signer}")
        return receipt

    def statement(self, page_size: int = 100) -> Iterator[Entry]:
        """Everything that changed the wallet's balance, newest first."""
        token = ""
        while True:
            request = contract.ListPayments(account=str(self.account), page_size=page_size, page_token=token)
            page = self._in_session(self._stub.ListPayments, request)
            yield from map(_entry, page.payments)
            token = page.next_page_token
            if not token:
                return

    def watch(self, after: tuple[int, int] | None = None, interval_s: float = 0.5) -> Iterator[Entry]:
        """Each new line of the statement as it comes, oldest first, from behind a position (`Entry.position`) or from
        now on. It never ends; keep the last position to go on after a restart."""
        if after is None:
            newest = next(self.statement(1), None)
            after = newest.position if newest else (0, -1)
        while True:
            fresh: list[Entry] = []
            for entry in self.statement():
                if entry.position <= after:
                    break
                fresh.append(entry)
            for entry in reversed(fresh):
                after = entry.position
                yield entry
            if not fresh:
                time.sleep(interval_s)

    # Sessions

    def _in_session(self, call: Callable[..., Any], request: Any) -> Any:
        renewed = False
        while True:
            metadata = (("authorization", f"Bearer {self._session()}"),)
            try:
                return call(request, timeout=DEADLINE_S, metadata=metadata)
            except grpc.RpcError as error:
                reason, _ = contract.error_info(error)
                if renewed or reason not in ("NO_SESSION", "SESSION_EXPIRED"):
                    raise NotServed(reason, error.details() or "") from error
                self._token, renewed = None, True

    def _session(self) -> str:
        with self._lock:
            if self._token is None or time.monotonic() > self._token_until:
                begun = time.monotonic()
                given = _ask(lambda: self._stub.BeginSession(contract.BeginSession(), timeout=DEADLINE_S))
                # The intended bank's number, whoever gave the challenge.
                statement = records.session(
                    self.account.bank, self._key_version, self.account, given.expires_at_ms, given.challenge
                )
                signed = records.sign(self._key, self.network.network_id, statement, "CBDCses")
                request = contract.OpenSession(statement=signed)
                opened = _ask(lambda: self._stub.OpenSession(request, timeout=DEADLINE_S))
                self._token, self._token_until = opened.token, begun + min(opened.expires_in_ms / 1000 * 0.9, 3600)
            return self._token

    def _settle(self, sequence: int, refusal: Refused | None) -> None:
        """Marks a number as used, or gives it back, as the status of its payment says."""
        is_used = refusal is None or refusal.position is not None or refusal.reason in _SAY_USED
        if is_used:
            self._sequences.mark_used(sequence)
        elif refusal is not None:
            self._sequences.give_back(sequence, may_settle=not refusal.final)


def _message(payment: Payment, record: bytes) -> Any:
    return contract.signed_payment(
        str(payment.payer),
        payment.kind,
        to=str(payment.payee),
        amount_minor=payment.amount,
        max_fee_minor=payment.max_fee,
        sequence=payment.sequence,
        key_version=payment.key_version,
        valid_until_ms=payment.valid_until_ms,
        reference=payment.reference,
        signature=record[-64:],
        top_up=payment.top_up,
    )


def _entry(line: Any) -> Entry:
    changes = line.changes
    return Entry(
        line.height, line.index, line.time_ms, line.kind, getattr(line, "from"), line.to, line.amount_minor,
        line.reference, line.sequence, line.reason, sum(change.credit_minor for change in changes),
        sum(change.debit_minor for change in changes), line.balance_minor,
    )  # fmt: skip


def _refused_by_ledger(outcome: Any) -> Refused:
    return Refused(
        outcome.reason, outcome.message, limit=outcome.limit, amount=outcome.amount, final=True,
        later_may_help=outcome.later_may_help, position=(outcome.height, outcome.index),
    )  # fmt: skip


def _refusal(error: grpc.RpcError) -> Refused | None:
    """The refusal that a status states; `None` if a copy may have been ordered."""
    reason, metadata = contract.error_info(error)
    code = error.code()
    is_final = metadata.get("final") == "true"
    until = metadata.get("may_settle_until_ms")
    if reason in ("NOT_LEADER", "UNAVAILABLE", "CLOCK_JUMP", "LOST_BLOCKS"):
        return None
    if not is_final and until is None and (code in _OPEN or not reason):
        return None
    return Refused(
        reason, error.details() or "", limit=int(metadata.get("limit", 0)), amount=int(metadata.get("amount", 0)),
        final=is_final, later_may_help=metadata.get("later_may_help") == "true",
        may_settle_until_ms=int(until) if until else None,
    )  # fmt: skip


def _ask(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except grpc.RpcError as error:
        reason, _ = contract.error_info(error)
        raise NotServed(reason, error.details() or "") from error
