"""Chunking, cases 501 and 502 (witness-tests.md)."""

from __future__ import annotations

from typing import Final

from mesh_sim.witness.cases.base import Action, Breach, Case, Rule, SendTo, Step, Waiting
from mesh_sim.witness.cases.common import HANDSHAKE, all_acknowledged, evidence
from mesh_sim.witness.cases.receiving import (
    ACKNOWLEDGED_AFTER,
    DOWNLOADED_UNALTERED,
    DOWNLOADED_WHOLE,
    LISTED_FIRST,
    WRITTEN_UNALTERED,
)
from mesh_sim.witness.cases.selections import excused
from mesh_sim.witness.cases.sending import (
    ARRIVED_UNALTERED,
    CHECKED_AFTER,
    SENT,
    of_case,
    sent,
    sent_and_checked,
)
from mesh_sim.witness.rehearsal import COUNTERPART
from mesh_sim.witness.trace import Trace

LARGE: Final = 200_000_000
"""What a message of these cases has to exceed, in bytes: the catalogue's 200 MB."""

_SIZE: Final = 210_000_000
_CHUNKS: Final = 3
"""As many as that takes: a request carries at most 100 MB (mesh-api.md section 2)."""

_RANGE: Final = "Mex-Chunk-Range"


def _numbered(trace: Trace) -> Breach | None:
    for entry in trace.within:
        if of_case(trace, entry) and not excused(entry) and _RANGE not in entry.details.headers:
            return Breach(f"a part was sent without {_RANGE}", entry)
    message = sent(trace)
    if message is not None and message.total == 1:
        return Breach("the message was sent in one part", message.parts[1])
    return None


def _final_part_last(trace: Trace) -> Breach | None:
    message = sent(trace)
    if message is None or message.total not in message.parts:
        return None
    final = message.parts[message.total]
    for number, part in message.parts.items():
        if part.at > final.at:
            return Breach(f"part {message.total} of {message.total} was sent before part {number}", final)
    return None


def _large(trace: Trace) -> Breach | None:
    message = sent(trace)
    if message is None or not message.measured or message.not_gzip is not None or message.size > LARGE:
        return None
    return Breach(f"it has {message.size:,} bytes", message.latest)


def _arrived_unaltered(trace: Trace) -> Breach | None:
    """Compare, unless the final part was not the last: that is told once, and nothing could be compared."""
    return None if _final_part_last(trace) else ARRIVED_UNALTERED.check(trace)


_NUMBERED: Final = Rule(
    f"the message is sent in parts, each with {_RANGE}",
    _numbered,
    f"Split the file into parts of at most 100 MB and send each with its {_RANGE}: 1:3, then 2:3, then 3:3.",
)

_FINAL_PART_LAST: Final = Rule(
    "the final part is sent last",
    _final_part_last,
    "Send the parts one after the other in the order of their numbers.",
)

_LARGE: Final = Rule(
    f"the message has more than {LARGE:,} bytes",
    _large,
    "Send the file that the case names, or one of your own of more than 200 MB before compression.",
)

_ARRIVED_UNALTERED: Final = Rule(
    ARRIVED_UNALTERED.expected,
    _arrived_unaltered,
    f"{ARRIVED_UNALTERED.fix} Where you compress, split the file first and compress each part by itself.",
)

CASES: Final[tuple[Case, ...]] = (
    Case(
        id="501",
        set="chunking",
        title="Receive a chunked message of more than 200 MB",
        rules=(
            HANDSHAKE,
            LISTED_FIRST,
            DOWNLOADED_WHOLE,
            ACKNOWLEDGED_AFTER,
            DOWNLOADED_UNALTERED,
            WRITTEN_UNALTERED,
        ),
        evidence=evidence,
        steps=(
            Step(
                Action.COLLECT,
                "A message of 210 MB in three chunks waits in the inbox of {mailbox}. Have your client check "
                "its inbox, download every chunk, put them together and acknowledge the message. The file "
                "that it wrote may be given to 'mesh-sim witness compare', which checks that nothing in it "
                "has changed.",
                all_acknowledged,
                props=(Waiting(size=_SIZE, chunks=_CHUNKS),),
            ),
        ),
        required=False,
    ),
    Case(
        id="502",
        set="chunking",
        title="Send a chunked message of more than 200 MB",
        rules=(HANDSHAKE, SENT, _NUMBERED, _FINAL_PART_LAST, _LARGE, _ARRIVED_UNALTERED, CHECKED_AFTER),
        evidence=evidence,
        steps=(
            Step(
                Action.SEND_CHUNKED,
                "Have your client send one message of more than 200 MB, in chunks, from {mailbox} to "
                "{recipient} with workflow id {workflow}: the file that 'mesh-sim witness file 502 OUT' "
                "writes, or one of your own. Then have it check its inbox straight away.",
                sent_and_checked,
                props=(SendTo(COUNTERPART, size=_SIZE),),
            ),
        ),
        required=False,
    ),
)
