"""What one turn of the loop brings is handed over together, in order, and none is left."""

from __future__ import annotations

import asyncio

from services.chat_worker.turn_batch import TurnBatch


def test_what_comes_in_one_turn_is_handed_over_together_in_the_next() -> None:
    taken: list[list[int]] = []

    async def main() -> None:
        batch: TurnBatch[int] = TurnBatch(asyncio.get_running_loop(), taken.append)
        batch.add(1)
        batch.add(2)
        assert taken == []
        await asyncio.sleep(0)
        assert taken == [[1, 2]]
        batch.add(3)
        await asyncio.sleep(0)
        assert taken == [[1, 2], [3]]

    asyncio.run(main())


def test_what_waits_can_be_handed_over_at_once_and_comes_once() -> None:
    taken: list[list[int]] = []

    async def main() -> None:
        batch: TurnBatch[int] = TurnBatch(asyncio.get_running_loop(), taken.append)
        batch.add(1)
        batch.flush()
        assert taken == [[1]]
        await asyncio.sleep(0)
        assert taken == [[1]]

    asyncio.run(main())


def test_what_is_added_while_others_are_handed_over_follows() -> None:
    taken: list[list[int]] = []

    async def main() -> None:
        def take(pieces: list[int]) -> None:
            taken.append(pieces)
            if pieces == [1]:
                batch.add(2)

        batch: TurnBatch[int] = TurnBatch(asyncio.get_running_loop(), take)
        batch.add(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert taken == [[1], [2]]

    asyncio.run(main())
