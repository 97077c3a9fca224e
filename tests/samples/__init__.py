"""Answers recorded from real servers, as files: an optional `# curl …` line, head, blank, body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def names() -> list[str]:
    """All samples as `server/name`."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob("*/*.http"))


def sample(name: str) -> Sample:
    """The sample called `server/name`."""
    raw = (FOLDER / f"{name}.http").read_bytes().replace(b"\r\n", b"\n")
    if raw.startswith(b"#"):
        raw = raw.partition(b"\n")[2]
    head, _, body = raw.partition(b"\n\n")
    status_line, *lines = head.decode().split("\n")
    headers = dict(line.split(":", 1) for line in lines)
    return Sample(
        status=int(status_line.split()[1]),
        headers={name.lower(): value.strip() for name, value in headers.items()},
        body=body.removesuffix(b"\n"),
    )
