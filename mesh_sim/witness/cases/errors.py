"""The set on errors: what the client makes of a refusal, and of a message that nobody collected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from mesh_sim.witness.cases.base import (
    Action,
    Breach,
    Case,
    Disabled,
    Expiry,
    NoSuchMessage,
    Rule,
    SendTo,
    Step,
    Waiting,
)
from mesh_sim.witness.cases.common import answer_of, tried
from mesh_sim.witness.cases.selections import DOWNLOADS, SENDS, completing, excused, few
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import DORMANT, NOBODY
from mesh_sim.witness.trace import Trace, first

MOST_REQUESTS: Final = 3
"""How often a client may ask what has been refused: the catalogue forbids to hammer, the figure is ours."""
MOST_SENDS: Final = 2
"""A send that was refused may be tried once more; the figure is ours."""
WATCHED: Final = timedelta(seconds=10)
"""How long to see whether the client leaves it at a refusal; the figure is ours."""

_SIZE: Final = 2_000
"""Bytes of the file for a client that a command drives, where any file will do; the figure is ours."""

# -- what the cases are about ----------------------------------------------------------------------------


def _asked_while_disabled(trace: Trace) -> tuple[Entry, ...]:
    return tuple(entry for entry in trace.during(0) if not excused(entry))


def _sends_to_nobody(trace: Trace) -> tuple[Entry, ...]:
    """Also those whose recipient is unknown: a client that leaves it out, or mistypes it, is judged too."""
    return tuple(
        entry
        for entry in trace.during(0)
        if entry.operation == "send" and entry.details.recipient in ("", NOBODY) and not excused(entry)
    )


def _refusals(trace: Trace) -> tuple[Entry, ...]:
    return tuple(entry for entry in _sends_to_nobody(trace) if entry.status == 417)


def _following_up(trace: Trace) -> tuple[Entry, ...]:
    """Give the requests that go on with a message whose send was refused, however much later."""
    refused = {entry.message_id for entry in _refusals(trace)} - {""}
    return tuple(
        entry
        for entry in trace.entries
        if entry.operation in ("track", "send-chunk") and entry.message_id in refused
    )


def _sends_to_dormant(trace: Trace) -> tuple[Entry, ...]:
    return tuple(
        entry
        for entry in trace.during(0, 1)
        if entry.operation == "send" and entry.details.recipient == DORMANT and not excused(entry)
    )


def _arrived_at_dormant(trace: Trace) -> Entry | None:
    """Give the request that completed a message to the dormant mailbox."""
    ids = {entry.message_id for entry in _sends_to_dormant(trace) if entry.whole}
    return first(completing(trace.during(0), SENDS), lambda entry: entry.message_id in ids)


def _on_report(trace: Trace) -> tuple[Entry, ...]:
    """Give the requests about the non-delivery report."""
    report_id = trace.attempt.report_id if trace.attempt is not None else ""
    if not report_id:
        return ()
    return tuple(entry for entry in trace.during(1) if entry.message_id == report_id)


def _undelivered(trace: Trace) -> tuple[Entry, ...]:
    """Show the send, and what was done when the report waited: the checks of the inbox that name it too."""
    later = {entry.number for entry in _on_report(trace)}
    shown = (entry for entry in trace.during(1) if entry.operation == "list" or entry.number in later)
    return few((*_sends_to_dormant(trace), *shown))


def _downloads_of_named(trace: Trace) -> tuple[Entry, ...]:
    """Give the downloads of the one message that the client was told of, as far as they were answered.

    A client that asks for the headers first (HEAD) meets the refusal there, and is right to leave it at that.
    """
    if trace.attempt is None or not trace.attempt.message_ids:
        return ()
    named = trace.attempt.message_ids[0]
    return tuple(
        entry
        for entry in trace.during(0)
        if entry.operation in (*DOWNLOADS, "head") and entry.message_id == named and not excused(entry)
    )


# -- what is expected ------------------------------------------------------------------------------------


def _meets(status: int, subject: Callable[[Trace], tuple[Entry, ...]]) -> Callable[[Trace], Breach | None]:
    """Expect that one of the requests is answered so; without any, nothing."""

    def check(trace: Trace) -> Breach | None:
        requests = subject(trace)
        if not requests or any(entry.status == status for entry in requests):
            return None
        return Breach(f"{answer_of(requests[0])}, never {status}", requests[0])

    return check


def _leaves_it(most: int, subject: Callable[[Trace], tuple[Entry, ...]]) -> Callable[[Trace], Breach | None]:
    """Expect that there are no more of the requests than so many."""

    def check(trace: Trace) -> Breach | None:
        requests = subject(trace)
        if len(requests) <= most:
            return None
        return Breach(f"{len(requests)} such requests, where {most} are enough", requests[most])

    return check


def _takes_refused_as_not_sent(trace: Trace) -> Breach | None:
    for entry in _following_up(trace):
        done = "tracked" if entry.operation == "track" else "sent another chunk of"
        return Breach(f"the client {done} message {entry.message_id}, which was refused", entry)
    return None


def _reports_refusal(trace: Trace) -> Breach | None:
    refusals = _refusals(trace)
    statuses = trace.attempt.exit_statuses if trace.attempt is not None else ()
    if not refusals or not statuses or statuses[0] != 0:
        return None
    return Breach("the client's command ended with status 0, as if the message had been sent", refusals[0])


def _sends_to_dormant_mailbox(trace: Trace) -> Breach | None:
    sends = _sends_to_dormant(trace)
    if not sends or _arrived_at_dormant(trace) is not None:
        return None
    accepted = first(sends, lambda entry: entry.whole)
    if accepted is not None:
        return Breach("chunks of the message are missing", accepted)
    return Breach(f"{answer_of(sends[0])}, never 202", sends[0])


def _collects_report(trace: Trace) -> Breach | None:
    if _arrived_at_dormant(trace) is None or any(_is_collected(entry) for entry in _on_report(trace)):
        return None
    if trace.attempt is None or not trace.attempt.report_id:
        return Breach("there was no report: the case was not carried on until the message had expired")
    asked = first(_on_report(trace), lambda entry: entry.operation == "download" and not excused(entry))
    if asked is None:
        return Breach(f"the report {trace.attempt.report_id} was never downloaded")
    return Breach(f"the report was not downloaded: {answer_of(asked)}", asked)


def _acknowledges_report(trace: Trace) -> Breach | None:
    collected: Entry | None = None
    for entry in _on_report(trace):
        if collected is None:
            collected = entry if _is_collected(entry) else None
        elif entry.operation == "acknowledge" and tried(entry):
            return None
    if collected is None:
        return None
    return Breach("the report was downloaded but not acknowledged afterwards", collected)


def _is_collected(entry: Entry) -> bool:
    return entry.operation == "download" and entry.whole


# -- when a step is done ---------------------------------------------------------------------------------


def _was_refused_entry(trace: Trace) -> bool:
    return any(entry.status == 403 for entry in _asked_while_disabled(trace))


def _was_acknowledged(trace: Trace) -> bool:
    return any(entry.operation == "acknowledge" and entry.whole for entry in _on_report(trace))


# -- the cases -------------------------------------------------------------------------------------------

_NO_HAMMERING: Final = "Treat the status as final: log it, tell a person, and do not ask again by itself."

CASES: Final[tuple[Case, ...]] = (
    Case(
        id="701",
        set="errors",
        title="Authentication failure: the mailbox is disabled",
        rules=(
            Rule(
                "the client meets 403 while its mailbox is disabled",
                _meets(403, _asked_while_disabled),
                "Have the client make one of its usual requests, such as the inbox check, on its usual path.",
            ),
            Rule(
                f"the client stops after 403: at most {MOST_REQUESTS} requests while the mailbox is disabled",
                _leaves_it(MOST_REQUESTS, _asked_while_disabled),
                "Treat 403 as final: stop, and tell a person, instead of trying again at once.",
            ),
        ),
        evidence=lambda trace: few(_asked_while_disabled(trace)),
        steps=(
            Step(
                Action.COLLECT,
                "Make your client check the inbox of {mailbox}, as it usually does. The mailbox is disabled "
                "for the moment, so that every request is answered 403. The client should stop there and "
                "report the failure.",
                done=_was_refused_entry,
                props=(Disabled(),),
                settle=WATCHED,
            ),
        ),
    ),
    Case(
        id="702",
        set="errors",
        title="Invalid recipient mailbox",
        rules=(
            Rule(
                "the send to a mailbox that does not exist meets 417",
                _meets(417, _sends_to_nobody),
                "Send to the mailbox that you were told of, in Mex-To; its refusal is 417, not 403 or 400.",
            ),
            Rule(
                "a message refused with 417 counts as not sent: it is neither tracked nor sent on in chunks",
                _takes_refused_as_not_sent,
                "Take only 202 for success; the id that comes with 417 is that of a message never accepted.",
            ),
            Rule(
                "a message refused with 417 is tried again once at most",
                _leaves_it(MOST_SENDS, _refusals),
                "Do not repeat a send that was answered 417: the same recipient will be refused again.",
            ),
            Rule(
                "the client reports that the message was not sent",
                _reports_refusal,
                "Report 417 to whoever asked for the send: end the command with a status other than 0.",
            ),
        ),
        evidence=lambda trace: (
            few(sorted((*sends, *_following_up(trace)), key=lambda entry: entry.at))
            if (sends := _sends_to_nobody(trace))
            else ()
        ),
        steps=(
            Step(
                Action.SEND,
                "Make your client send any small file to mailbox {recipient}, under workflow {workflow}. "
                "There is no such mailbox, so the send is answered 417. The client should report that the "
                "message was not sent.",
                done=lambda trace: bool(_sends_to_nobody(trace)),
                props=(SendTo(NOBODY, size=_SIZE),),
                settle=WATCHED,
            ),
        ),
    ),
    Case(
        id="703",
        set="errors",
        title="Undelivered message and its non-delivery report",
        rules=(
            Rule(
                "the message to the dormant mailbox is sent and answered 202",
                _sends_to_dormant_mailbox,
                "Mend the send first, as case 201 (502 for chunks) has it, then start this case again.",
            ),
            Rule(
                "the non-delivery report is downloaded",
                _collects_report,
                "Download every message that the inbox names, REPORT as well as DATA, whatever its workflow.",
            ),
            Rule(
                "the non-delivery report is acknowledged after its download",
                _acknowledges_report,
                "Acknowledge a REPORT just as a DATA message, once what it says has been noted.",
            ),
        ),
        evidence=_undelivered,
        steps=(
            Step(
                Action.SEND,
                "Make your client send any small file to mailbox {recipient}, under workflow {workflow}. "
                "Nobody collects what is sent there.",
                done=lambda trace: _arrived_at_dormant(trace) is not None,
                props=(SendTo(DORMANT, size=_SIZE),),
            ),
            Step(
                Action.COLLECT,
                "Simulated time has moved on until the message was given up as undelivered. Make your client "
                "check the inbox of {mailbox}: a non-delivery report waits there. The client should download "
                "it, acknowledge it and say which message was not delivered.",
                done=_was_acknowledged,
                props=(Expiry(),),
            ),
        ),
    ),
    Case(
        id="704",
        set="errors",
        title="Download of a message that does not exist",
        rules=(
            Rule(
                "the download of a message that does not exist meets 404",
                _meets(404, _downloads_of_named),
                "Download by the id that you were told of, from the client's own mailbox.",
            ),
            Rule(
                f"the client leaves it at 404: at most {MOST_REQUESTS} requests for that message",
                _leaves_it(MOST_REQUESTS, _downloads_of_named),
                _NO_HAMMERING,
            ),
        ),
        evidence=lambda trace: few(_downloads_of_named(trace)),
        steps=(
            Step(
                Action.DOWNLOAD,
                "Make your client download message {message_id} from the inbox of {mailbox}. There is none "
                "with that id, so it is answered 404. The client should report it and go no further.",
                done=lambda trace: bool(_downloads_of_named(trace)),
                props=(NoSuchMessage(),),
                settle=WATCHED,
            ),
        ),
    ),
    Case(
        id="705",
        set="errors",
        title="Download of a message that is no longer available",
        rules=(
            Rule(
                "the download of a message that has expired meets 410",
                _meets(410, _downloads_of_named),
                "Download by the id that you were told of, from the client's own mailbox.",
            ),
            Rule(
                f"the client leaves it at 410: at most {MOST_REQUESTS} requests for that message",
                _leaves_it(MOST_REQUESTS, _downloads_of_named),
                _NO_HAMMERING,
            ),
        ),
        evidence=lambda trace: few(_downloads_of_named(trace)),
        steps=(
            Step(
                Action.DOWNLOAD,
                "Make your client download message {message_id} from the inbox of {mailbox}. It waited there "
                "too long and is no longer available, so the download is answered 410. The client should "
                "report it and go no further.",
                done=lambda trace: bool(_downloads_of_named(trace)),
                props=(Waiting(), Expiry()),
                settle=WATCHED,
            ),
        ),
    ),
)
