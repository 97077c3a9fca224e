"""What was said, and how the next answer is asked for and shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import click

from cli import given
from cli.failures import Failure
from cli.output import Output
from cli.session import Session

HELP: Final = """/model ID    go on with another model
/system TEXT change the system prompt
/new         begin anew
/exit        leave (or Ctrl-D); Ctrl-C stops an answer"""


@dataclass(slots=True)
class Conversation:
    """Messages so far; `fields` are the request's own, like `temperature`."""

    model: str
    system: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    show_reasoning: bool = False
    messages: list[dict[str, str]] = field(default_factory=list)

    def body(self, question: str) -> dict[str, Any]:
        """The request that asks this next."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        asked = {"role": "user", "content": question}
        return {**self.fields, "model": self.model, "messages": [*before, *self.messages, asked]}

    def keep(self, question: str, answer: str) -> None:
        """Remember what was asked and answered."""
        self.messages.append({"role": "user", "content": question})
        self.messages.append({"role": "assistant", "content": answer})


@dataclass(slots=True)
class Telling:
    """Shows the deltas of an answer: what is said on standard output, all else beside it."""

    out: Output
    show_reasoning: bool
    said: str = ""
    tools: int = 0
    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    reasoning: bool = False

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Show one chunk."""
        self.usage = given.fields(chunk.get("usage")) or self.usage
        for choice in given.objects(chunk.get("choices"))[:1]:
            delta = given.fields(choice.get("delta"))
            self.finish = given.text(choice.get("finish_reason")) or self.finish
            self.tools += sum(
                1 for call in given.objects(delta.get("tool_calls")) if call.get("id")
            )
            thought = given.text(delta.get("reasoning_content")) or given.text(
                delta.get("reasoning")
            )
            if thought and self.show_reasoning:
                click.secho(_plain(thought), err=True, dim=True, nl=False)
                self.reasoning = True
            if text := given.text(delta.get("content")) or given.text(delta.get("refusal")):
                if self.reasoning:
                    click.echo(err=True)
                    self.reasoning = False
                self.said += text
                self.out.text(text)

    def end(self) -> None:
        """Say what the text does not."""
        self.out.end_line()
        if self.finish == "length":
            self.out.status("(cut off: the limit of tokens was reached)")
        elif self.finish == "content_filter":
            self.out.status("(cut off by the server's content filter)")
        if self.tools:
            self.out.status(f"(it asked for {self.tools} tool calls; --json shows them)")


def answer_of(session: Session, talk: Conversation, question: str) -> None:
    """Ask, show the answer as it comes, and remember both. Ctrl-C ends the call, too."""
    telling = Telling(session.out, talk.show_reasoning)
    body = {**talk.body(question), "stream": True, "stream_options": {"include_usage": True}}
    try:
        with session.api.stream(body) as chunks:
            for chunk in chunks:
                telling.take(chunk)
    finally:
        telling.end()
    if session.asks and telling.usage:
        usage = telling.usage
        told = f"{usage.get('prompt_tokens', '?')} in, {usage.get('completion_tokens', '?')} out"
        session.out.status(f"({talk.model}: {told} tokens)")
    talk.keep(question, telling.said)


def converse(session: Session, talk: Conversation) -> None:
    """Ask for questions until there is no more; a failed answer does not end it."""
    if importlib.util.find_spec("readline"):
        importlib.import_module("readline")  # makes `input` edit and remember lines
    session.out.status(f"{talk.model}. /help shows what else can be typed.")
    while True:
        try:
            typed = input("> ").strip()
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        if typed == "/exit":
            return
        if typed.startswith("/"):
            _obey(session.out, talk, typed)
        elif typed:
            _answer(session, talk, typed)


def _answer(session: Session, talk: Conversation, question: str) -> None:
    from cli.app import tell

    try:
        answer_of(session, talk, question)
    except KeyboardInterrupt:
        session.out.status("(stopped)")
    except Failure as failure:
        tell(failure)


def _obey(out: Output, talk: Conversation, typed: str) -> None:
    command, _, rest = typed.partition(" ")
    if command == "/model" and rest:
        talk.model = rest.strip()
    elif command == "/system":
        talk.system = rest.strip() or None
    elif command == "/new":
        talk.messages.clear()
    else:
        out.say(HELP)
        return
    out.status(f"({talk.model}, {len(talk.messages) // 2} answers so far)")


def _plain(text: str) -> str:
    from cli.wording import safe

    return safe(text)
