"""A resumed stream where nothing is said for long, before its chunks and between them."""

from __future__ import annotations

from typing import Final

from services.registry.chat.frames import DONE, PING, ChunkFrames

SAID: Final = ("so ", "very ", "silent")


def silent_stream() -> bytes:
    """Its bytes, each chunk with its number."""
    frames = ChunkFrames(numbered=True)
    said = b"".join(
        PING * 3 + frames.of([_chunk(word)], number) for number, word in enumerate(SAID)
    )
    return frames.opening() + said + PING + DONE


def _chunk(word: str) -> bytes:
    choice = b'{"index":0,"delta":{"content":"%b"}}' % word.encode()
    return b'{"object":"chat.completion.chunk","choices":[%b]}' % choice
