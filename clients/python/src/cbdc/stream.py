"""Payments in volume: packed batches on one stream, answered in any order.

At most `in_flight_max` batches are unanswered; `send` waits. If the stream breaks, what became of the unanswered
batches is not known: open another and send the same bytes again, which is safe.
"""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from . import contract, reasons
from .contract import CommandBatch
from .errors import BadRecord, NoAnswer
from .records import SIGNED_PAYMENT_BYTES

ANSWER_BYTES = 40
FINAL, ACCEPTED, UNKNOWN = 0, 1, 2
_ANSWER = struct.Struct("<QIHHHIHQQ")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one record of a batch. At height 0 it was not ordered."""

    height: int
    index: int
    state: int
    reason_code: int
    fee: int
    limit: int
    amount: int

    @property
    def reason(self) -> str:
        """The stable name, such as `SETTLED`."""
        return reasons.name(self.reason_code)

    @property
    def settled(self) -> bool:
        return self.state == FINAL and self.reason_code == 0 and self.height > 0


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The answers to a batch: a run of settled payments in consecutive places, or 40 bytes each."""

    batch_id: int
    count: int
    run: tuple[int, int] | None
    packed: bytes

    @property
    def settled_whole(self) -> bool:
        return self.run is not None or all(answer.settled for answer in self.answers())

    def answers(self) -> Iterator[Answer]:
        if self.run is not None:
            height, first = self.run
            return (Answer(height, first + at, FINAL, 0, 0, 0, 0) for at in range(self.count))
        return unpack(self.packed)


def unpack(packed: bytes) -> Iterator[Answer]:
    if len(packed) % ANSWER_BYTES:
        raise BadRecord(f"expected a multiple of {ANSWER_BYTES} bytes of answers, found {len(packed)}")
    for height, index, state, _, reason, fee_low, fee_high, limit, amount in _ANSWER.iter_unpack(packed):
        yield Answer(height, index, state, reason, fee_high << 32 | fee_low, limit, amount)


def answer_of(batch_id: int, outcomes: bytes, run: tuple[int, int, int] | None) -> BatchAnswer:
    """Reads an answer: height, first index and count of a run, or packed outcomes; never both."""
    if run is None:
        if len(outcomes) % ANSWER_BYTES:
            raise BadRecord(f"expected a multiple of {ANSWER_BYTES} bytes of answers, found {len(outcomes)}")
        return BatchAnswer(batch_id, len(outcomes) // ANSWER_BYTES, None, outcomes)
    height, first, count = run
    if outcomes or height == 0 or not 1 <= count <= contract.BATCH_COMMANDS_MAX or first + count > 0xFFFF_FFFF:
        raise BadRecord(f"expected a run within a block, found {count} from index {first} on at height {height}")
    return BatchAnswer(batch_id, count, (height, first), b"")


class PaymentStream:
    """A stream to a bank. One thread may send while another receives."""

    def __init__(self, stub: Any, in_flight_max: int = 32) -> None:
        if not 1 <= in_flight_max <= 64:
            raise BadRecord(f"expected 1 to 64 batches in flight, found {in_flight_max}")
        self._outgoing: queue.SimpleQueue[CommandBatch | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(in_flight_max)
        self._unanswered: dict[int, int] = {}
        self._next_id = 1
        self._broken: str | None = None
        self._call = stub.SubmitTransfers(iter(self._outgoing.get, None))

    def send(self, payments: bytes) -> int:
        """Sends signed payments, 136 bytes each and at most 8,192 of them; returns the batch's id: 1, 2, 3 ..."""
        count, rest = divmod(len(payments), SIGNED_PAYMENT_BYTES)
        if rest or not 1 <= count <= contract.BATCH_COMMANDS_MAX:
            raise BadRecord(
                f"expected 1 to 8,192 payments of {SIGNED_PAYMENT_BYTES} bytes, found {len(payments)} bytes"
            )
        self._slots.acquire()
        if self._broken is not None:
            raise NoAnswer(self._broken, payments)
        batch_id, self._next_id = self._next_id, self._next_id + 1
        self._unanswered[batch_id] = count
        self._outgoing.put(CommandBatch(batch_id=batch_id, commands=payments, takes_runs=True))
        return batch_id

    def answers(self) -> Iterator[BatchAnswer]:
        """The answers as they come. It ends when `done` was called and everything is answered."""
        try:
            for message in self._call:
                run = message.settled_run if message.HasField("settled_run") else None
                answer = answer_of(
                    message.batch_id, message.outcomes, (run.height, run.first_index, run.count) if run else None
                )
                expected = self._unanswered.pop(answer.batch_id, None)
                if expected != answer.count:
                    raise BadRecord(f"expected {expected} answers to batch {answer.batch_id}, found {answer.count}")
                self._slots.release()
                yield answer
        except grpc.RpcError as error:
            self._end(f"the stream broke with {len(self._unanswered)} batches unanswered: {error.details()}")
        except BadRecord as error:
            self._call.cancel()
            self._end(str(error))
        if self._unanswered:
            self._end(f"the bank ended the stream with {len(self._unanswered)} batches unanswered")

    def _end(self, why: str) -> None:
        self._broken = why
        self._slots.release(64)
        raise NoAnswer(why)

    @property
    def unanswered(self) -> list[int]:
        return sorted(self._unanswered)

    def done(self) -> None:
        """Nothing more is sent; answers still come."""
        self._outgoing.put(None)
