"""Sequence numbers: taken once, within the window, given back only when unused."""

import threading

from cbdc.sequences import WINDOW, Sequences


def test_numbers_are_taken_once_and_within_the_window() -> None:
    sequences = Sequences(lambda: 5)
    taken = [sequences.take() for _ in range(WINDOW)]
    assert taken == list(range(5, 5 + WINDOW))
    waiting = threading.Thread(target=lambda: taken.append(sequences.take()))
    waiting.start()
    sequences.mark_used(6)
    waiting.join(timeout=0.1)
    assert waiting.is_alive(), "the lowest number is still in flight"
    sequences.mark_used(5)
    waiting.join(timeout=5)
    assert taken[-1] == 5 + WINDOW
    assert sequences.take() == 6 + WINDOW


def test_a_number_comes_back_and_is_contested_only_if_its_payment_may_settle() -> None:
    sequences = Sequences(lambda: 1)
    assert [sequences.take() for _ in range(3)] == [1, 2, 3]
    sequences.give_back(2, may_settle=True)
    sequences.give_back(3, may_settle=False)
    sequences.give_back(99, may_settle=True)
    assert (sequences.is_contested(2), sequences.is_contested(3), sequences.is_contested(99)) == (True, False, False)
    sequences.mark_used(1)
    assert [sequences.take() for _ in range(3)] == [2, 3, 4]


def test_what_the_bank_knows_moves_the_window_and_an_older_answer_does_not() -> None:
    answers = iter([1, 40, 3])
    sequences = Sequences(lambda: next(answers))
    assert sequences.take() == 1
    sequences.refresh()
    sequences.refresh()
    assert sequences.take() == 40


def test_numbers_that_are_passed_over_stay_free() -> None:
    sequences = Sequences(lambda: 1)
    assert [sequences.take(3), sequences.take(), sequences.take(5), sequences.take()] == [4, 1, 8, 2]
    assert sequences.take(1000) == WINDOW
    assert [sequences.take() for _ in range(WINDOW - 5)][:4] == [3, 5, 6, 7]
