"""Cases and a rehearsal made up for the report's tests: its client is flawed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from traces import BEGUN, MAILBOX, Tape, message_id

from mesh_sim.witness.cases.base import Action, Breach, Case, Rule, Step
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import Attempt, Rehearsal
from mesh_sim.witness.report import Report, report_of
from mesh_sim.witness.trace import Trace, first

VERSION: Final = "0.1.0"
WANTED: Final = message_id(7)
"""The message that the client downloads three times."""


def _of(operation: str) -> Callable[[Trace], Sequence[Entry]]:
    return lambda trace: [entry for entry in trace.within if entry.operation == operation]


def _handshaken(trace: Trace) -> Breach | None:
    if any(entry.operation == "handshake" for entry in trace.entries):
        return None
    return Breach("no handshake was seen at all")


def _downloaded_once(trace: Trace) -> Breach | None:
    downloads = [entry for entry in trace.entries if entry.operation == "download"]
    if len(downloads) < 2:
        return None
    return Breach(f"downloaded {len(downloads)} times before it was acknowledged", downloads[1])


def _sent(trace: Trace) -> Breach | None:
    refused = first(trace.within, lambda entry: entry.operation == "send" and not entry.whole)
    return None if refused is None else Breach("the send was refused", refused)


def _no_403(trace: Trace) -> Breach | None:
    refused = first(trace.entries, lambda entry: entry.status == 403)
    return None if refused is None else Breach("a request was refused with 403", refused)


HANDSHAKEN: Final = Rule(
    "a handshake came in the 24 hours before", _handshaken, "have the client shake hands once a day"
)
ONCE: Final = Rule(
    "the message is downloaded once", _downloaded_once, "acknowledge it before the inbox is checked again"
)
SENT: Final = Rule("the message is accepted", _sent, "send it to the mailbox that the step names")
NO_403: Final = Rule("every token is used once", _no_403, "make a new token for each request")


def staged(case: str, operation: str, *rules: Rule, **options: Any) -> Case:
    """Make a case that needs a start, judged from the requests of one operation in its attempt."""
    step = Step(Action.COLLECT, "collect", lambda _: True)
    return Case(case, options.pop("set", "receiving"), options.pop("title", f"case {case}"), rules,
                _of(operation), (step,), **options)  # fmt: skip


SENDING: Final = staged("201", "send", SENT, set="sending", title="send uncompressed")
COMPRESSED: Final = staged("202", "send", SENT, set="sending", title="send compressed", required=False)
RECEIVING: Final = staged("401", "download", HANDSHAKEN, ONCE, title="receive uncompressed")
MISSING: Final = staged("704", "download", ONCE, set="errors", title="no such message")
REPORTS: Final = Case("803", "declared", "undelivered reports are dealt with", (ONCE,), lambda _: ())
CADENCE: Final = Case(
    "handshake-cadence", "findings", "a handshake a day", (HANDSHAKEN,), lambda trace: trace.entries
)
TOKENS: Final = Case("token-once", "findings", "no token is used twice", (NO_403, ONCE),
                     lambda trace: [entry for entry in trace.entries if entry.status == 403])  # fmt: skip
CASES: Final = (SENDING, COMPRESSED, RECEIVING, MISSING, REPORTS, CADENCE, TOKENS)


def attempt(case: str, begin: datetime, end: datetime | None) -> Attempt:
    """Make an attempt of one step."""
    return Attempt(case, (begin,), end)


def traffic() -> tuple[Tape, Rehearsal]:
    """Make the requests of a flawed client: no handshake, three downloads, a token used twice."""
    tape = Tape()
    begun = tape.now
    tape.wait(seconds=1).send(method="POST", received=2_000).list(1)
    sent = attempt("201", begun, tape.now)
    tape.wait(seconds=10)
    begin = tape.now
    tape.download(WANTED, sent=2_000, md5="9e107d9d372bb6826bd81d3542a419d6").list(1)
    tape.download(WANTED, sent=2_000, seconds=0.0214).request(
        "list", 403, reason="the token was used before"
    ).download(WANTED, sent=2_000, seconds=12.5).acknowledge(WANTED)
    got = attempt("401", begin, tape.now)
    return tape.wait(minutes=1), Rehearsal(MAILBOX, BEGUN, (sent, got))


def made(
    tape: Tape | None = None,
    rehearsal: Rehearsal | None = None,
    *,
    cases: Sequence[Case] = CASES,
    oldest_kept: datetime | None = None,
) -> Report:
    """Make a report, of :func:`traffic` unless told otherwise."""
    if tape is None:
        tape, rehearsal = traffic()
    now = tape.now + timedelta(seconds=1)
    return report_of(MAILBOX, rehearsal, tape.entries, now, VERSION, oldest_kept, cases=cases)
