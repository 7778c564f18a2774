"""``ndoo applies``: whether the opt-outs apply to a disclosure, asked on a terminal or told by options."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from ndoo.cli import options
from ndoo.cli.boundary import UsageError
from ndoo.cli.show import moment, one_line, show_facts, write_json
from ndoo.policy import (
    Advice,
    Answer,
    Answers,
    Identifiability,
    LegalBasis,
    Purpose,
    Recipient,
    Verdict,
    open_questions,
    settled,
)

PANEL = "Before data are used"

NOTICE: Final = (
    "this is advice from the published rules, not a decision: your organisation decides, and its Caldicott "
    "Guardian or information governance lead can say more"
)
NOT_ASKED: Final = "not asked, for it would change nothing"
_ASK: Final = "ask your Caldicott Guardian or information governance lead before you go on"
_LEAVE_OUT: Final = "leave out who opted out: 'ndoo check LIST', or 'ndoo filter LIST --cache FILE'"
_LEAVE_OUT_TYPE_1: Final = (
    "if the data come from GP records, leave out the practice's own list of Type 1 opt-outs too: "
    "'ndoo filter LIST --type-1 FILE'"
)

_QUESTIONS: Final[dict[str, tuple[str, type[Answer]]]] = {
    "purpose": ("What are the data for?", Purpose),
    "identifiability": ("Do the data tell who they are about?", Identifiability),
    "recipient": ("Who gets them?", Recipient),
    "legal_basis": ("What allows it?", LegalBasis),
}
_NATIONAL: Final = {Verdict.YES: "applies", Verdict.NO: "does not apply", Verdict.UNCLEAR: "unclear"}
_TYPE_1: Final = {
    Verdict.YES: "must be honoured, for data from GP records",
    Verdict.NO: "need not be honoured here",
    Verdict.UNCLEAR: "unclear, for data from GP records",
}


def _words(kind: type[Answer]) -> str:
    return ", ".join(answer.value for answer in kind)


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command(
        rich_help_panel=PANEL,
        epilog=(
            "Example: [bold]ndoo applies[/bold] asks; [bold]ndoo applies --purpose research "
            "--identifiability confidential --recipient researcher --legal-basis section-251[/bold] is told"
        ),
    )(applies)


def applies(  # noqa: PLR0913 -- one for each option
    *,
    purpose: Annotated[
        Purpose | None,
        typer.Option(metavar="WORD", show_default=False, help=f"What the data are for: {_words(Purpose)}."),
    ] = None,
    identifiability: Annotated[
        Identifiability | None,
        typer.Option(
            metavar="WORD",
            show_default=False,
            help=f"Whether they tell who they are about: {_words(Identifiability)}.",
        ),
    ] = None,
    recipient: Annotated[
        Recipient | None,
        typer.Option(metavar="WORD", show_default=False, help=f"Who gets them: {_words(Recipient)}."),
    ] = None,
    legal_basis: Annotated[
        LegalBasis | None,
        typer.Option(metavar="WORD", show_default=False, help=f"What allows it: {_words(LegalBasis)}."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            rich_help_panel="The record",
            help="Write answers and advice to a text file (Markdown) for your organisation's file.",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            show_default=False,
            rich_help_panel="The record",
            help="What is to be disclosed, in a few words and without personal data.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, rich_help_panel="The record", help="Who is asking."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", metavar="", rich_help_panel="The record", help="Replace the record if it exists."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Say whether the national data opt-out applies to a disclosure, and why.

    Also says whether Type 1 opt-outs must be honoured. On a terminal it asks
    what no option tells, and stops asking once the advice is certain. It
    advises; your organisation decides. Exit 0 whatever the advice is.
    """
    may_ask = not json and sys.stdin.isatty() and sys.stderr.isatty()
    if record is None and (title is not None or by is not None or force):
        raise UsageError("--title, --by and --force are about the record; name its file with --record FILE")
    answers = Answers(purpose, identifiability, recipient, legal_basis)
    if not may_ask:
        _refuse_open(answers)
    with ExitStack() as stack:
        # Opened first: nobody is to answer questions for a file that cannot be written.
        out = None
        if record is not None:
            from ndoo.output import write_output

            title = _text("title", title, "What is to be disclosed, in a few words?", may_ask=may_ask)
            by = _text("by", by, "Who is asking?", may_ask=may_ask)
            out = stack.enter_context(write_output(record, force))
        told = answers
        while still_open := open_questions(answers):
            chosen: dict[str, Any] = {still_open[0]: _choose(still_open[0])}
            answers = replace(answers, **chosen)
        advice = settled(answers)
        if out is not None:
            out.write(_record(answers, advice, title or "", by or "").encode())
    if json:
        write_json(_fields(answers, advice, record))
        return
    if answers != told:
        _tell("")
    show_facts(_facts(advice, record))


# -- asking -----------------------------------------------------------------------------------------


def _refuse_open(answers: Answers) -> None:
    """Refuse, away from a terminal, answers that leave the advice open."""
    missing = [f"{_option(name)} ({_words(_QUESTIONS[name][1])})" for name in open_questions(answers)]
    if missing:
        raise UsageError(
            f"the advice still depends on {', '.join(missing)}; give these options, or run it on a terminal "
            "without --json to be asked"
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _choose(name: str) -> Answer:
    """Show the choices with their numbers, and take a number or a word until it is one of them."""
    question, kind = _QUESTIONS[name]
    choices = list(kind)
    _tell(f"\n{question}")
    for number, choice in enumerate(choices, 1):
        _tell(f"  {number:>2}  {choice.label}")
    by_text = {str(number): choice for number, choice in enumerate(choices, 1)}
    by_text |= {choice.value: choice for choice in choices}
    while True:
        given = _read("Number: ", name).lower()
        if given in by_text:
            return by_text[given]
        _tell(f"Please type a number from 1 to {len(choices)}.")


def _text(name: str, given: str | None, question: str, *, may_ask: bool) -> str:
    """Give a line of text for the record, asking for it if that can be done."""
    text = one_line(given or "")
    while not text:
        if given is not None or not may_ask:
            raise UsageError(f"--{name} is missing or empty; a record says what was asked about, and by whom")
        text = one_line(_read(f"{question} ", name))
    return text


def _read(prompt: str, name: str) -> str:
    # Not input(): its prompt goes to standard output, which may be a file.
    typer.echo(prompt, err=True, nl=False)
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        _tell("")
        raise
    if not line:
        _tell("")
        _give_up(name)
    return line.strip()


def _give_up(name: str) -> NoReturn:
    raise UsageError(f"there was no answer; give it as {_option(name)}")


def _tell(text: str) -> None:
    typer.echo(text, err=True)


# -- showing ----------------------------------------------------------------------------------------


def _next_steps(advice: Advice) -> tuple[str, ...]:
    steps = []
    if advice.applies is Verdict.YES:
        steps.append(_LEAVE_OUT)
    if advice.type_1 is Verdict.YES:
        steps.append(_LEAVE_OUT_TYPE_1)
    if advice.unclear:
        steps.append(_ASK)
    return tuple(steps)


def _section(advice: Advice) -> str:
    return "; ".join((advice.section, *advice.approvals))


def _facts(advice: Advice, record: Path | None) -> list[tuple[str, int | str, str]]:
    steps = _next_steps(advice)
    if steps[1:]:
        steps = tuple(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return [
        ("national data opt-out", _NATIONAL[advice.applies], ""),
        ("because", advice.reason, ""),
        ("policy section", _section(advice), ""),
        ("Type 1 opt-outs", _TYPE_1[advice.type_1], ""),
        ("their reason", advice.type_1_reason, ""),
        *(("" if index else "next", step, "") for index, step in enumerate(steps)),
        ("written", "" if record is None else str(record), ""),
        ("note", NOTICE, ""),
    ]


def _fields(answers: Answers, advice: Advice, record: Path | None) -> dict[str, object]:
    return {
        "applies": advice.applies,
        "reason": advice.reason,
        "section": advice.section,
        "approvals": advice.approvals,
        "type_1": {"honour": advice.type_1, "reason": advice.type_1_reason, "of": "GP records"},
        "next": _next_steps(advice),
        "answers": {field.name: getattr(answers, field.name) for field in fields(answers)},
        "record": record,
        "notice": NOTICE,
    }


def _record(answers: Answers, advice: Advice, title: str, by: str) -> str:
    """Write the record: Markdown that reads as plain text as well."""
    told = []
    for name, (question, _kind) in _QUESTIONS.items():
        answer: Answer | None = getattr(answers, name)
        told.append(f"- {question} " + (NOT_ASKED if answer is None else f"{answer.label} ({answer.value})"))
    lines = [
        "# National data opt-out: advice on a disclosure",
        "",
        f"- Disclosure: {title}",
        f"- Asked by: {by}",
        f"- Date: {moment(datetime.now(UTC))}",
        f"- Advice given by: ndoo {version('mesh-sim')}",
        "",
        "## Answers",
        "",
        *told,
        "",
        "## Advice",
        "",
        f"- National data opt-out: {_NATIONAL[advice.applies]}",
        f"- Because: {advice.reason}",
        f"- Policy section: {_section(advice)}",
        f"- Type 1 opt-outs: {_TYPE_1[advice.type_1]}",
        f"- Because: {advice.type_1_reason}",
        *(f"- Next: {step}" for step in _next_steps(advice)),
        "",
        f"Note: {NOTICE}.",
        "",
    ]
    return "\n".join(lines)
