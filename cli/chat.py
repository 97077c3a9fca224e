"""`chat`: one question, or a conversation."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from cli import completing
from cli.conversation import Conversation, answer_of, converse
from cli.routes import CHAT, MODELS
from cli.session import Session, calls

FOREGROUND_SECONDS: Final = 605.0  # the server ends plain calls after 590


@click.command("chat")
@click.argument("prompt", nargs=-1)
@click.option(
    "--model",
    "-m",
    metavar="ID",
    shell_complete=completing.model_ids,
    help="provider/model. Needed where more than one is listed.",
)
@click.option("--system", "-s", metavar="TEXT", help="The system prompt.")
@click.option("--temperature", type=float, metavar="T")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N")
@click.option("--reasoning", is_flag=True, help="Show the model's reasoning, on standard error.")
@click.option("--background", is_flag=True, help="Make it a job, and print its id.")
@calls
def command(
    session: Session,
    prompt: tuple[str, ...],
    model: str | None,
    system: str | None,
    reasoning: bool,
    background: bool,
    **parameters: Any,
) -> None:
    """Ask a model; the answer is printed as it comes.

    The question is PROMPT, or standard input, or both (PROMPT first). Without either, on a
    terminal, it is a conversation. With --json the answer is the whole completion.
    """
    asked = _question(prompt)
    if asked is None and (background or session.out.as_json or not session.asks):
        raise click.UsageError("Expected a PROMPT, or one on standard input, got neither.")
    fields = {name: value for name, value in parameters.items() if value is not None}
    talk = Conversation(model or _only_model(session), system, fields, show_reasoning=reasoning)
    if asked is None:
        converse(session, talk)
    elif background:
        job = session.api.send("POST", CHAT, {**talk.body(asked), "background": True})
        if session.out.as_json:
            session.out.document(job)
        else:
            session.out.say(f"`./dragoman jobs watch {job['id']}` follows it.")
            click.echo(job["id"])
    elif session.out.as_json:
        body = talk.body(asked)
        session.out.document(session.api.send("POST", CHAT, body, patience=FOREGROUND_SECONDS))
    else:
        answer_of(session, talk, asked)


def _question(prompt: tuple[str, ...]) -> str | None:
    """What was asked; None where there is neither a prompt nor anything on standard input."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    parts = [part for part in (" ".join(prompt), piped.strip()) if part]
    return "\n\n".join(parts) or None


def _only_model(session: Session) -> str:
    """The model where there is no choice; else it is asked for, or a UsageError names some."""
    listed = [str(row["id"]) for row in session.api.get(MODELS)["data"]]
    if len(listed) == 1:
        return listed[0]
    if not listed:
        raise click.UsageError("Expected --model ID, got none, and no provider lists a model.")
    if session.asks:
        for name in listed[:20]:
            session.out.say(f"  {name}")
        return str(click.prompt("Model", err=True, default=listed[0]))
    raise click.UsageError(
        f"Expected --model ID: {len(listed)} models are listed, for example {listed[0]}."
    )
