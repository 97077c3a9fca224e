"""Places for webhooks: some dozens in all, few at one receiver, and who must wait how long."""

from __future__ import annotations

from services.chat_worker.receivers import LONGEST_WAIT, MOST, MOST_TO_ONE, QUICK, Receivers


def chosen(receivers: Receivers, *names: str) -> tuple[list[str], list[tuple[str, float]]]:
    """As the loop does: what is chosen begins."""
    begin, wait = receivers.choose((name, name) for name in names)
    for name in begin:
        receivers.enter(name)
    return list(begin), list(wait)


def test_one_receiver_has_few_places_and_leaves_the_others_theirs() -> None:
    receivers = Receivers()
    begin, wait = chosen(receivers, *["slow"] * 100, "quick")
    assert begin == ["slow"] * MOST_TO_ONE + ["quick"]
    assert [name for name, _ in wait] == ["slow"] * (100 - MOST_TO_ONE)
    assert chosen(receivers, "slow", "quick")[0] == ["quick"]


def test_those_behind_a_receiver_are_spread_over_the_time_that_it_needs() -> None:
    receivers = Receivers()
    _, wait = chosen(receivers, *["one"] * (3 * MOST_TO_ONE))
    pauses = [pause for _, pause in wait]
    assert pauses == sorted(pauses)
    assert (pauses[0] > QUICK, pauses[-1]) == (True, QUICK + 2 * QUICK)
    receivers.leave("one", took=15.0)
    _, wait = chosen(receivers, *["one"] * (MOST_TO_ONE + 1))
    assert wait[-1][1] == QUICK + 15.0
    _, wait = chosen(receivers, *["one"] * 1_000)
    assert wait[-1][1] == LONGEST_WAIT


def test_no_more_than_some_dozens_are_under_way_and_the_next_free_place_is_anyones() -> None:
    receivers = Receivers()
    names = [f"receiver-{number}" for number in range(MOST + 2)]
    begin, wait = chosen(receivers, *names)
    assert (begin, wait) == (names[:MOST], [(name, 0.0) for name in names[MOST:]])
    assert receivers.free == 0
    receivers.leave(names[0], took=1.0)
    assert receivers.free == 1
    assert chosen(receivers, *names[MOST:]) == ([names[MOST]], [(names[MOST + 1], 0.0)])


def test_it_remembers_neither_who_is_gone_nor_very_many() -> None:
    receivers = Receivers()
    for number in range(5_000):
        receivers.enter(str(number))
        receivers.leave(str(number), took=1.0)
    assert receivers.free == MOST
    assert not receivers._under_way
    assert len(receivers._took) <= 1_000
