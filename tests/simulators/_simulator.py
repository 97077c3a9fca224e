"""The frame: a dialect says how one kind of server speaks, a simulator serves it.

A dialect is data (`vllm.py`, `ollama.py`, `tgi.py`, … hold one each). A mode makes the chat route,
the models route or both misbehave the way that this dialect's server would.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tests.simulators._asked import ENDINGS, CallOptions, ChatRequest, Mode, Route
from tests.simulators._http import Exchange, Reply, Request, json_reply
from tests.simulators._ledger import Calls, Ledger
from tests.simulators._streams import DONE, Pace, Player, Stream, like_openai

HTML: Final = Reply(200, b"<!doctype html><title>Welcome</title><h1>It works!</h1>", "text/html")
# llama.cpp's; most others refuse the connection, or let it wait, while they load.
LOADING: Final = json_reply(
    {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, 503
)
KEPT_REQUESTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server speaks. Sources are in each dialect's module."""

    name: str
    list_models: Callable[[Sequence[str]], Any] | None  # ids → the list; None: no such route
    complete: Callable[[Mapping[str, Any], str], Any]  # request, model → document of the answer
    fail: Callable[[int, str], Reply]  # status, message → error answer
    unauthorized: Reply
    no_such_path: Reply
    wrong_method: Reply
    no_such_model: Callable[[str], Reply] | None  # None: answers with its own model
    meant: Callable[[str], str] = str  # a model's name in a request → its id in the list
    keyless: Reply | None = None  # what no key at all gets; None: `unauthorized`
    models_need_key: bool = True
    loading: Reply = LOADING
    base: str = "/v1"  # before /models and /chat/completions
    public: Mapping[str, Reply] = field(default_factory=dict)  # other paths, open to all
    content_type: str = "application/json"  # of good answers
    stream: Stream = like_openai
    stream_error: Callable[[str], bytes] | None = None  # None: the error's document as an event
    stream_type: str = "text/event-stream"


class Simulator:
    """One server on a port. Attributes may be changed while it runs."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        models: Sequence[str] = ("sim-model",),
        key: str | None = None,
        latency: float = 0.0,
        every: float = 0.0,
        keep_alive: float = 5.0,
    ) -> None:
        self.dialect = dialect
        self.models = list(models)
        self.key = key
        self.latency = latency
        self.every = every  # seconds from chunk to chunk
        self.keep_alive = keep_alive
        self.retry_after: str | None = "2"
        self.modes: dict[Route, Mode] = {"chat": Mode.NORMAL, "models": Mode.NORMAL}
        self.requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self.ledger = Ledger()
        self._holding = False
        self._held: list[Callable[[], None]] = []

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now or later; runs on the simulator's loop."""
        request, base = exchange.request, self.dialect.base
        self.requests.append(request)
        if request.path == f"{base}/chat/completions":
            self._chat(exchange)
        elif request.path == f"{base}/models":
            self.ledger.list_models()
            if (reply := self._list(request)) is not None:
                exchange.reply(reply)
        else:
            self.ledger.miss()
            exchange.reply(self._other(request))

    def hold(self) -> None:
        """Begin no answer from now on, until `release`."""
        self._holding = True

    def release(self) -> None:
        """Let the held calls take their latency from now on; runs on the loop."""
        self._holding = False
        held, self._held = self._held, []
        for think in held:
            think()

    def _other(self, request: Request) -> Reply:
        if all(mode is Mode.LOADING for mode in self.modes.values()):
            return self.dialect.loading
        return self.dialect.public.get(request.path, self.dialect.no_such_path)

    def _list(self, request: Request) -> Reply | None:
        if self.dialect.list_models is None:
            return self.dialect.no_such_path
        if request.method != "GET":
            return self.dialect.wrong_method
        if (mode := self.modes["models"]) is Mode.SILENT:
            return None
        if (reply := self._misbehaviour(mode)) is not None:
            return reply
        if self.dialect.models_need_key and (refusal := self._refusal(request)) is not None:
            return refusal
        return self._good(self.dialect.list_models(self.models))

    def _chat(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method != "POST":
            exchange.reply(self.dialect.wrong_method)
            return
        try:
            chat = msgspec.json.decode(request.body, type=ChatRequest)
        except msgspec.MsgspecError as error:
            exchange.reply(self.dialect.fail(400, str(error)))
            return
        calls = self.ledger.begin(chat.user)
        exchange.on_closed = lambda: self.ledger.close_early(calls)
        options = chat.sim or CallOptions()
        if options.good_after is not None and calls.begun > options.good_after:
            options = CallOptions(latency=options.latency)
        latency = self.latency if options.latency is None else options.latency

        def end() -> None:
            if not exchange.closed:
                self._end(exchange, chat, options, calls)

        def think() -> None:
            if latency > 0:
                asyncio.get_running_loop().call_later(latency, end)
            else:
                end()

        if self.modes["chat"] is Mode.SILENT:
            return
        if self._holding:
            self._held.append(think)
        else:
            think()

    def _end(
        self, exchange: Exchange, chat: ChatRequest, options: CallOptions, calls: Calls
    ) -> None:
        if options.drop is not None:
            self.ledger.drop(calls)
            exchange.drop(reset=options.drop == "reset")
            return
        if (refusal := self._refused(exchange.request, chat, options)) is not None:
            self.ledger.answer(calls)
            exchange.reply(refusal)
            return
        own = self._has(chat.model) or not self.models
        model = chat.model if own else self.models[0]
        document = self.dialect.complete(exchange.request.json(), model)
        if chat.stream and self.modes["chat"] is not Mode.NO_STREAMS:
            self._stream(exchange, document, chat, options, calls)
        else:
            self.ledger.answer(calls)
            exchange.reply(self._good(document))

    def _has(self, name: str) -> bool:
        return self.dialect.meant(name) in self.models

    def _refused(self, request: Request, chat: ChatRequest, options: CallOptions) -> Reply | None:
        mode = self.modes["chat"]
        if (reply := self._misbehaviour(mode)) is not None:
            return reply
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if chat.messages is None:
            return self.dialect.fail(400, "'messages' is required")
        if chat.stream_options is not None and mode is Mode.NO_STREAM_OPTIONS:
            return self.dialect.fail(400, "Unrecognized request argument supplied: stream_options")
        if options.html:
            return HTML
        if options.status != 200:
            reply = self.dialect.fail(options.status, "The call asked for this failure.")
            return _after(reply, options.retry_after)
        if not self._has(chat.model) and self.dialect.no_such_model is not None:
            return self.dialect.no_such_model(chat.model)
        return None

    def _stream(
        self,
        exchange: Exchange,
        document: Any,
        chat: ChatRequest,
        options: CallOptions,
        calls: Calls,
    ) -> None:
        ending = options.ending or ENDINGS.get(self.modes["chat"])
        chunks = [*self.dialect.stream(document, chat.include_usage)]
        if ending not in (None, "no-done"):
            cut = len(chunks) // 2 if options.end_after is None else options.end_after
            chunks = chunks[:cut]

        def end() -> None:
            match ending:
                case "cut" | "reset":
                    self.ledger.drop(calls)
                    exchange.drop(reset=ending == "reset")
                    return
                case "stall":
                    return
                case "error":
                    exchange.write(self._stream_error("The call asked for this failure."))
                case None:
                    exchange.write(DONE)
            self.ledger.answer(calls)
            exchange.end()

        pace = Pace(
            every=self.every if options.every is None else options.every,
            pause=options.pause,
            pause_before=options.pause_before,
            hold_before=options.hold_before,
            stamped=options.stamped,
        )
        exchange.begin(self.dialect.stream_type)
        Player(exchange, chunks, pace, hold=self._held.append, on_end=end).play()

    def _stream_error(self, message: str) -> bytes:
        if self.dialect.stream_error is not None:
            return self.dialect.stream_error(message)
        return b"data: " + self.dialect.fail(500, message).body + b"\n\n"

    def _good(self, document: Any) -> Reply:
        return Reply(200, msgspec.json.encode(document), self.dialect.content_type)

    def _refusal(self, request: Request) -> Reply | None:
        if self.key is None or request.bearer == self.key:
            return None
        if request.bearer is None and self.dialect.keyless is not None:
            return self.dialect.keyless
        return self.dialect.unauthorized

    def _misbehaviour(self, mode: Mode) -> Reply | None:
        match mode:
            case Mode.WRONG_KEY:
                return self.dialect.unauthorized
            case Mode.HTML:
                return HTML
            case Mode.ROUTE_MISSING:
                return self.dialect.no_such_path
            case Mode.LOADING:
                return self.dialect.loading
            case Mode.RATE_LIMITED:
                return _after(self.dialect.fail(429, "Too many requests."), self.retry_after)
            case Mode.UNPAID:
                return self.dialect.fail(402, "Insufficient credits.")
            case Mode.SERVER_ERROR:
                return self.dialect.fail(500, "Internal server error.")
            case Mode.ERROR_IN_200:
                return dataclasses.replace(self.dialect.fail(502, "Provider error."), status=200)
            case _:
                return None


def _after(reply: Reply, seconds: str | None) -> Reply:
    """`reply` with a Retry-After, where there is one."""
    return dataclasses.replace(reply, headers={"Retry-After": seconds} if seconds else {})
