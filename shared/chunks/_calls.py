"""Tool calls, put together from pieces that may lack what tells them apart."""

from __future__ import annotations

from typing import Any, Final

from shared.chunks._parts import First, Last, MakePart, Name, Object, Text

MOST_CALLS: Final = 128  # OpenAI's bound on tools

FUNCTION: Final[dict[str, MakePart]] = {"name": Name}
_CALL: Final[dict[str, MakePart]] = {
    "id": First,
    "type": Last,
    "function": lambda: Object(FUNCTION, Text),
}


class CallPlaces:
    """Which piece of a choice belongs to which of its tool calls.

    By their index; where it is missing, by id, or else by name and place. Gemini sends calls
    without an index. Gateways in front of it were seen to give all of them the index 0, each with
    an id and a name of its own; vLLM once gave every piece of one call a new id, but no name.
    """

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}  # by place in the answer; empty while none was told
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._latest = 0
        self._following = 0

    def of(self, pieces: Any) -> list[tuple[int, dict[str, Any]]]:
        """The place of each of these pieces, which came together.

        What is no object is left out, and what would be the 129th call.
        """
        entries = pieces if isinstance(pieces, list) else []
        entries = [entry for entry in entries if isinstance(entry, dict)]
        found = []
        for number, entry in enumerate(entries):
            continued = number if len(entries) > 1 else self._latest
            if (place := self._place(entry, continued)) is not None:
                found.append((place, entry))
        return found

    def _place(self, entry: dict[str, Any], continued: int) -> int | None:
        index = index_of(entry)
        id_ = entry["id"] if isinstance(entry.get("id"), str) else ""
        function = entry.get("function")
        begins = isinstance(function, dict) and bool(function.get("name"))
        place = self._told_by(index, id_, begins=begins, continued=continued)
        if place not in self._ids and len(self._ids) == MOST_CALLS:
            return None
        self._latest = place
        self._following = max(self._following, place + 1)
        self._ids[place] = self._ids.get(place) or id_
        if index is not None:
            self._by_index[index] = place
        if id_:
            self._by_id.setdefault(id_, place)
        return place

    def _told_by(self, index: int | None, id_: str, *, begins: bool, continued: int) -> int:
        if index is not None:
            place = self._by_index.get(index, index)
            known = self._ids.get(place) or id_
            return self._following if begins and id_ and id_ != known else place
        if id_:
            return self._by_id.get(id_, self._following)
        return self._following if begins else continued


class Calls:
    """Tool calls, each by its own place."""

    def __init__(self) -> None:
        self._calls: dict[int, Object] = {}
        self._places = CallPlaces()

    def add(self, entries: Any) -> None:
        for place, entry in self._places.of(entries):
            if place not in self._calls:
                self._calls[place] = Object(_CALL, Text)
            self._calls[place].add(entry)

    def value(self) -> list[dict[str, Any]]:
        calls = [self._calls[place].value() for place in sorted(self._calls)]
        for call in calls:
            call.pop("index", None)  # an unstreamed answer has none
        return calls


def index_of(fields: dict[str, Any]) -> int | None:
    """The `index` of a call or choice, if it has one."""
    index = fields.get("index")
    return index if type(index) is int else None
