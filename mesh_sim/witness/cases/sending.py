"""Sending, cases 201 and 202 (witness-tests.md); 502 shares some of their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mesh_sim.witness.cases.base import Action, Breach, Case, Rule, SendTo, Step
from mesh_sim.witness.cases.common import HANDSHAKE, answer_of, checks_inbox, evidence, follows
from mesh_sim.witness.cases.selections import chunk_of, excused
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import COUNTERPART
from mesh_sim.witness.trace import Trace, first

_SIZE: Final = 2_000
"""Bytes of the file to send: ours, the catalogue asks for no size."""

_COMPLETE_ALREADY: Final = 423
"""The answer to a part of a message that is complete (mesh-api.md section 13)."""

# -- the message -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of the client's as far as it was accepted: by number, what carried its parts."""

    parts: Mapping[int, Entry]
    total: int

    @property
    def missing(self) -> int | None:
        """The first part that was never accepted; None where all were."""
        return next((number for number in range(1, self.total + 1) if number not in self.parts), None)

    @property
    def measured(self) -> bool:
        """Whether its body is known: all parts were accepted, and none lost its answer on the way.

        No digest is noted of a request whose answer was lost.
        """
        return self.missing is None and all(part.whole for part in self.parts.values())

    @property
    def not_gzip(self) -> int | None:
        """The first part that says that it is gzip, and is not by itself; None where there is none."""
        return next(
            (
                number
                for number, part in sorted(self.parts.items())
                if part.whole and part.details.gzip and part.details.payload_bytes is None
            ),
            None,
        )

    @property
    def latest(self) -> Entry:
        """The part that came last, whichever it was."""
        return max(self.parts.values(), key=lambda entry: entry.at)

    @property
    def size(self) -> int:
        """Bytes of its body, decompressed, as far as they arrived."""
        return sum(part.details.payload_bytes or 0 for part in self.parts.values())

    @property
    def md5(self) -> str:
        """Of its body, decompressed; '' where that is not known."""
        if self.total == 1:
            return self.parts[1].details.md5
        return next((part.details.whole_md5 for part in self.parts.values() if part.details.whole_md5), "")


def sent(trace: Trace) -> Sent | None:
    """Give the last message that was accepted for the recipient during the attempt, or begun to be.

    The last, because a tester who sees that something is wrong mends it and sends once more.
    """
    within = trace.within
    begun = first(reversed(within), lambda entry: entry.whole and _is_for_recipient(trace, entry))
    if begun is None:
        return None
    parts, unanswered = {1: begun}, dict[int, Entry]()
    for entry in within:
        if entry.operation == "send-chunk" and entry.message_id == begun.message_id:
            number = chunk_of(entry).number
            if entry.whole:
                parts[number] = entry
            elif excused(entry):
                unanswered[number] = entry
            elif entry.status == _COMPLETE_ALREADY and number in unanswered:
                parts.setdefault(number, unanswered[number])  # it had arrived, only its answer was lost
    return Sent(parts, chunk_of(begun).total)


def sent_and_checked(trace: Trace) -> bool:
    """Tell whether a message went off, its last part at least, and the inbox was checked after it."""
    message = sent(trace)
    return (
        message is not None
        and message.total in message.parts
        and any(entry.whole and entry.operation == "list" for entry in _after(trace, message))
    )


def of_case(trace: Trace, entry: Entry) -> bool:
    """Tell whether a request sends the case's message, or one to nobody: whom that is for is not known."""
    if entry.operation == "send-chunk":
        return True
    return _is_for_recipient(trace, entry) or (entry.operation == "send" and not entry.details.recipient)


def _is_for_recipient(trace: Trace, entry: Entry) -> bool:
    wanted = trace.attempt.recipient if trace.attempt is not None else ""
    return entry.operation == "send" and entry.details.recipient == wanted


def _after(trace: Trace, message: Sent) -> list[Entry]:
    latest = message.latest
    return [entry for entry in trace.within if follows(entry, latest)]


# -- what 201, 202 and 502 share -------------------------------------------------------------------------


def _was_sent(trace: Trace) -> Breach | None:
    message = sent(trace)
    if message is None:
        return _not_sent(trace)
    if message.missing is None:
        return None
    why = f"part {message.missing} of {message.total} was never accepted"
    failed = first(
        reversed(trace.within),
        lambda entry: (
            entry.operation == "send-chunk"
            and entry.message_id == message.parts[1].message_id
            and chunk_of(entry).number == message.missing
        ),
    )
    return Breach(why) if failed is None else Breach(f"{why}: {answer_of(failed)}", failed)


def _not_sent(trace: Trace) -> Breach:
    """Say what became of the last send instead, if there was one."""
    sends = [entry for entry in trace.within if entry.operation == "send"]
    failed = first(reversed(sends), lambda entry: _is_for_recipient(trace, entry))
    if failed is None and sends:
        failed = sends[-1]
        to = failed.details.recipient
        if failed.whole:
            return Breach(f"it was sent to {to or 'another mailbox'}", failed)
        named = f"it named {to}" if to else "it named no mailbox that there is"
        return Breach(f"{named}: {answer_of(failed)}", failed)
    return Breach("nothing was sent") if failed is None else Breach(answer_of(failed), failed)


def _arrived_unaltered(trace: Trace) -> Breach | None:
    message, attempt = sent(trace), trace.attempt
    if message is None or attempt is None or not message.measured:
        return None
    known = {compared.md5 for compared in attempt.compared}
    if attempt.original is not None:
        known.add(attempt.original.md5)
    if message.total > 1 and (number := message.not_gzip) is not None:
        trouble = f"part {number} is not gzip by itself, as its Content-Encoding says"
        return Breach(f"what arrived could not be compared: {trouble}", message.parts[number])
    if not message.md5:
        split = message.total > 1
        trouble = "its parts came out of order" if split else "its body is not the gzip that it says it is"
        return Breach(f"what arrived could not be compared: {trouble}", message.latest)
    if message.md5 in known:
        return None
    arrived = f"{message.size:,} bytes with MD5 {message.md5}"
    return Breach(f"{arrived} arrived: not the file of the case, and none that was compared", message.latest)


def _checked_after(trace: Trace) -> Breach | None:
    """Ask for the order only: how soon the inbox was checked is judged over the whole traffic."""
    message = sent(trace)
    if message is None or message.missing is not None or any(map(checks_inbox, _after(trace, message))):
        return None
    return Breach(f"it was not checked after the send (request {message.latest.number})")


SENT: Final = Rule(
    f"a message is sent to {COUNTERPART}, and all of it is accepted",
    _was_sent,
    "Send to the mailbox that the case names, with the workflow id that it names, and send every part until "
    "it is accepted. The reason beside a refused request says what was wrong with it.",
)

ARRIVED_UNALTERED: Final = Rule(
    "the message arrives unaltered",
    _arrived_unaltered,
    "Send the bytes of the file as they are: no change of line ends or character set, nothing added, parts "
    "in the order of their numbers. If you sent a file of your own, show it to 'mesh-sim witness compare'.",
)

CHECKED_AFTER: Final = Rule(
    "the inbox is checked after the send",
    _checked_after,
    "Have your client list its inbox straight after each message that it has sent, without waiting for the "
    "next scheduled poll.",
)

# -- headers and compression -----------------------------------------------------------------------------


def _with(*headers: str) -> Callable[[Trace], Breach | None]:
    """Have every send of the attempt carry these headers, also one that was refused for the lack of one."""

    def check(trace: Trace) -> Breach | None:
        for entry in trace.within:
            if entry.operation == "send" and of_case(trace, entry) and not excused(entry):
                missing = [header for header in headers if header not in entry.details.headers]
                if missing:
                    return Breach(f"it was sent without {' and without '.join(missing)}", entry)
        return None

    return check


def _uncompressed(trace: Trace) -> Breach | None:
    message = sent(trace)
    if message is None or not message.parts[1].details.gzip:
        return None
    return Breach("it was sent as gzip", message.parts[1])


_HEADERS: Final = Rule(
    "every send has Authorization, Mex-From, Mex-To, Mex-WorkflowID, Content-Type: application/octet-stream",
    _with("Authorization", "Mex-From", "Mex-To", "Mex-WorkflowID", "Content-Type: application/octet-stream"),
    "Set all five headers on the send. Mex-From, your own mailbox, is easily forgotten, because the API "
    "takes a message without it.",
)

_UNCOMPRESSED: Final = Rule(
    "the message is sent uncompressed",
    _uncompressed,
    "Send this one without Content-Encoding: gzip; a compressed message is case 202.",
)

_COMPRESSED: Final = Rule(
    "every send is compressed and says so with Content-Encoding: gzip",
    _with("Content-Encoding: gzip"),
    "Compress the body with gzip and send Content-Encoding: gzip with it.",
)

_MARKED: Final = Rule(
    "every send says Mex-Content-Compress: Y, or Mex-Content-Compressed: Y",
    _with("Mex-Content-Compressed: Y"),
    "Set Mex-Content-Compress: Y on a message whose body is compressed.",
)

# -- the cases -------------------------------------------------------------------------------------------

CASES: Final[tuple[Case, ...]] = (
    Case(
        id="201",
        set="sending",
        title="Send a message uncompressed",
        rules=(HANDSHAKE, SENT, _UNCOMPRESSED, _HEADERS, ARRIVED_UNALTERED, CHECKED_AFTER),
        evidence=evidence,
        steps=(
            Step(
                Action.SEND,
                "Have your client send one message, uncompressed, from {mailbox} to {recipient} with "
                "workflow id {workflow}: the file that 'mesh-sim witness file 201 OUT' writes, or one of "
                "your own. Then have it check its inbox straight away.",
                sent_and_checked,
                props=(SendTo(COUNTERPART, size=_SIZE),),
            ),
        ),
    ),
    Case(
        id="202",
        set="sending",
        title="Send a message compressed",
        rules=(HANDSHAKE, SENT, _COMPRESSED, _MARKED, _HEADERS, ARRIVED_UNALTERED, CHECKED_AFTER),
        evidence=evidence,
        steps=(
            Step(
                Action.SEND_COMPRESSED,
                "Have your client send one message, compressed with gzip, from {mailbox} to {recipient} "
                "with workflow id {workflow}: the file that 'mesh-sim witness file 202 OUT' writes, or one "
                "of your own. Then have it check its inbox straight away.",
                sent_and_checked,
                props=(SendTo(COUNTERPART, size=_SIZE),),
            ),
        ),
        required=False,
    ),
)
