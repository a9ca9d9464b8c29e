"""A wallet's sequence numbers: each is taken by one payment, and comes back only when no payment used it.

At most 64 are in flight, from the lowest unused one on; `take` waits for one of them to be settled. A number whose
payment was refused but may settle yet is *contested*: the next payment takes it, and at most one of the two settles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .errors import NoAnswer

#: How many payments of a wallet may be in flight at once.
WINDOW = 64
#: How long `take` waits for a number before it asks the bank, and in all.
_ASK_S, _WAIT_S = 0.5, 30.0


class Sequences:
    """`ask` gives the lowest unused number as the bank knows it."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._changed = threading.Condition()
        self._lowest_unused: int | None = None
        self._fresh = 0
        self._returned: set[int] = set()
        self._used: set[int] = set()
        self._contested: set[int] = set()

    def take(self, ahead: int = 0) -> int:
        """The lowest number that is free, or the one so many further on, where others with the same key are faster."""
        if self._lowest_unused is None:
            self.refresh()
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            with self._changed:
                number = self._next(ahead)
                if number is None and self._changed.wait(_ASK_S):
                    continue
            if number is not None:
                return number
            self.refresh()
        raise NoAnswer(f"{WINDOW} payments are in flight, and none was answered within {_WAIT_S:.0f} s")

    def _next(self, ahead: int) -> int | None:
        assert self._lowest_unused is not None, "it was asked for first"
        end = self._lowest_unused + WINDOW
        # What is passed over stays free.
        free = sorted(number for number in self._returned if number < end)
        while len(free) <= ahead and self._fresh < end:
            free.append(self._fresh)
            self._returned.add(self._fresh)
            self._fresh += 1
        if not free:
            return None
        number = free[min(ahead, len(free) - 1)]
        self._returned.discard(number)
        return number

    def refresh(self) -> None:
        """Adopts what the bank knows; an older answer changes nothing."""
        number = self._ask()
        with self._changed:
            if self._lowest_unused is None or number > self._lowest_unused:
                self._lowest_unused = number
            self._advance()

    def mark_used(self, number: int) -> None:
        with self._changed:
            if self._lowest_unused is None:
                return  # a record of an earlier run; the bank will say
            self._returned.discard(number)
            self._used.add(number)
            self._advance()

    def give_back(self, number: int, *, may_settle: bool) -> None:
        with self._changed:
            if self._lowest_unused is not None and self._lowest_unused <= number < self._fresh:
                self._returned.add(number)
                if may_settle:
                    self._contested.add(number)
                self._changed.notify_all()

    def is_contested(self, number: int) -> bool:
        return number in self._contested

    def _advance(self) -> None:
        assert self._lowest_unused is not None, "numbers are used once one is known"
        lowest = self._lowest_unused
        while lowest in self._used:
            lowest += 1
        self._lowest_unused, self._fresh = lowest, max(self._fresh, lowest)
        self._used = {number for number in self._used if number > lowest}
        self._returned = {number for number in self._returned if number >= lowest}
        # The conflict of a contested number may be reported after the number was used.
        self._contested = {number for number in self._contested if number >= lowest - WINDOW}
        self._changed.notify_all()
