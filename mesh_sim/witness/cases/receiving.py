"""Receiving, cases 401 and 402 (witness-tests.md); 501 and 601 share some of their rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from mesh_sim.witness.cases.base import Action, Breach, Case, Rule, Step, Waiting
from mesh_sim.witness.cases.common import (
    HANDSHAKE,
    all_acknowledged,
    answer_of,
    checks_inbox,
    evidence,
    follows,
    tried,
)
from mesh_sim.witness.cases.selections import DOWNLOADS, chunk_of
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.trace import Trace, first

_ACCEPTS_GZIP: Final = "Accept-Encoding: gzip"

# -- the message -----------------------------------------------------------------------------------------


def downloads(trace: Trace) -> Sequence[Entry]:
    """Give the requests of the attempt for the body of a message that waits, or for a chunk of it."""
    return [entry for entry in trace.within if entry.operation in DOWNLOADS and _is_waiting(trace, entry)]


def _fetched(trace: Trace) -> Mapping[int, Entry]:
    """Give the first download of each chunk that went out whole, by the chunk's number."""
    whole: dict[int, Entry] = {}
    for entry in downloads(trace):
        if entry.whole:
            whole.setdefault(chunk_of(entry).number, entry)
    return whole


def _chunk_md5s(trace: Trace) -> Sequence[str]:
    """Give the MD5 of each chunk that waits; '' where it is not known."""
    original = trace.attempt.original if trace.attempt is not None else None
    if original is None:
        return ("",)
    return original.chunk_md5s or (original.md5,)


def _missing(trace: Trace) -> Sequence[int]:
    """Give the numbers of the chunks that were never downloaded whole."""
    fetched = _fetched(trace)
    return [number for number in range(1, len(_chunk_md5s(trace)) + 1) if number not in fetched]


def _acknowledgement(trace: Trace) -> Entry | None:
    return first(
        trace.within,
        lambda entry: entry.operation == "acknowledge" and tried(entry) and _is_waiting(trace, entry),
    )


def _is_waiting(trace: Trace, entry: Entry) -> bool:
    return trace.attempt is not None and entry.message_id in trace.attempt.message_ids


# -- what 401, 402 and 501 share -------------------------------------------------------------------------


def _listed_first(trace: Trace) -> Breach | None:
    for entry in trace.within:
        if checks_inbox(entry):
            return None
        if entry.operation in DOWNLOADS and _is_waiting(trace, entry):
            return Breach("it was downloaded before the inbox was checked", entry)
    return None


def _downloaded_whole(trace: Trace) -> Breach | None:
    missing, total = _missing(trace), len(_chunk_md5s(trace))
    if not missing:
        return None
    failed = first(
        reversed(downloads(trace)),
        lambda entry: not entry.whole and (total == 1 or chunk_of(entry).number in missing),
    )
    if failed is not None:
        return Breach(answer_of(failed), failed)
    why = "it never was" if total == 1 else f"chunk {missing[0]} of {total} never was"
    acknowledgement = _acknowledgement(trace)
    if acknowledgement is None:
        return Breach(why)
    return Breach(f"{why}, and yet the message was acknowledged", acknowledgement)


def _downloaded_once(trace: Trace) -> Breach | None:
    acknowledgement = _acknowledgement(trace)
    whole = [
        entry
        for entry in downloads(trace)
        if entry.whole and (acknowledgement is None or entry.at < acknowledgement.at)
    ]
    times = Counter(chunk_of(entry).number for entry in whole)
    met: set[int] = set()
    for entry in whole:
        number = chunk_of(entry).number
        if number in met:
            return Breach(f"it was downloaded {times[number]} times before it was acknowledged", entry)
        met.add(number)
    return None


def _acknowledged_after(trace: Trace) -> Breach | None:
    if _missing(trace):
        return None
    complete = max(_fetched(trace).values(), key=lambda entry: entry.ended_at)
    acknowledgement = _acknowledgement(trace)
    if acknowledgement is None:
        return Breach(f"it was not acknowledged after its download (request {complete.number})")
    if follows(acknowledgement, complete):
        return None
    return Breach("it was acknowledged before the whole of it was downloaded", acknowledgement)


def _downloaded_unaltered(trace: Trace) -> Breach | None:
    fetched = _fetched(trace)
    for number, md5 in enumerate(_chunk_md5s(trace), start=1):
        entry = fetched.get(number)
        if md5 and entry is not None and entry.details.md5 != md5:
            went_out = f"has MD5 {entry.details.md5}" if entry.details.md5 else "could not be compared"
            return Breach(f"what went out as chunk {number} {went_out}; the original has MD5 {md5}", entry)
    return None


def _written_unaltered(trace: Trace) -> Breach | None:
    """Judge the last file that the tester had compared, if there was one."""
    attempt = trace.attempt
    if attempt is None or attempt.original is None or not attempt.compared:
        return None
    written, original = attempt.compared[-1], attempt.original
    if written.md5 == original.md5:
        return None
    return Breach(
        f"the file that was compared has {written.size:,} bytes and MD5 {written.md5}, "
        f"the original {original.size:,} bytes and MD5 {original.md5}"
    )


LISTED_FIRST: Final = Rule(
    "the inbox is checked before anything is downloaded",
    _listed_first,
    "List the inbox (GET /messageexchange/MAILBOX/inbox), then download the ids that the answer names.",
)

DOWNLOADED_WHOLE: Final = Rule(
    "the message is downloaded, every chunk of it",
    _downloaded_whole,
    "Download each id that the inbox names; where it names none, look for a workflow_filter that leaves the "
    "message out. Where the answer's Mex-Chunk-Range is 1:3, its status is 206 and "
    "the chunks 2 and 3 are to be downloaded as well (GET .../inbox/MESSAGE/2).",
)

DOWNLOADED_ONCE: Final = Rule(
    "the message is downloaded once",
    _downloaded_once,
    "Keep what was downloaded and acknowledge it; download again only what broke off on the way.",
)

ACKNOWLEDGED_AFTER: Final = Rule(
    "the message is acknowledged after it was downloaded",
    _acknowledged_after,
    "Acknowledge (PUT .../inbox/MESSAGE/status/acknowledged) as soon as the last chunk is downloaded and "
    "kept, and not before: an acknowledged message leaves the inbox.",
)

DOWNLOADED_UNALTERED: Final = Rule(
    "what is downloaded equals the original",
    _downloaded_unaltered,
    "What the simulator sent is not what the case put into the inbox: start the case again, and if it stays "
    "so, report a fault of mesh-sim.",
)

WRITTEN_UNALTERED: Final = Rule(
    "the file that the client wrote equals the original, where it was compared",
    _written_unaltered,
    "Write the bytes as they come: decompressed where Content-Encoding is gzip, chunk after chunk in the "
    "order of their numbers, with no change of line ends or character set.",
)

# -- compression -----------------------------------------------------------------------------------------


def _gzip_accepted(trace: Trace) -> Breach | None:
    for entry in _fetched(trace).values():
        if _ACCEPTS_GZIP not in entry.details.headers:
            return Breach(f"it was downloaded without {_ACCEPTS_GZIP}", entry)
    return None


def _gzip_received(trace: Trace) -> Breach | None:
    for entry in _fetched(trace).values():
        if _ACCEPTS_GZIP in entry.details.headers and not entry.details.gzip:
            return Breach("the answer had no Content-Encoding: gzip", entry)
    return None


_GZIP_ACCEPTED: Final = Rule(
    "the download accepts gzip",
    _gzip_accepted,
    "Send Accept-Encoding: gzip with the download, and decompress an answer whose Content-Encoding is gzip.",
)

_GZIP_RECEIVED: Final = Rule(
    "the message comes compressed",
    _gzip_received,
    "The message of this case is kept as gzip and goes out so to a client that accepts it: start the case "
    "again, and if it stays so, report a fault of mesh-sim.",
)

# -- the cases -------------------------------------------------------------------------------------------

_COLLECTED: Final = (HANDSHAKE, LISTED_FIRST, DOWNLOADED_WHOLE, DOWNLOADED_ONCE, ACKNOWLEDGED_AFTER)
"""The catalogue's order: handshake, check inbox, download, acknowledge."""
_UNALTERED: Final = (DOWNLOADED_UNALTERED, WRITTEN_UNALTERED)

CASES: Final[tuple[Case, ...]] = (
    Case(
        id="401",
        set="receiving",
        title="Receive a message uncompressed",
        rules=(*_COLLECTED, *_UNALTERED),
        evidence=evidence,
        steps=(
            Step(
                Action.COLLECT,
                "A message waits in the inbox of {mailbox}. Have your client check its inbox, download the "
                "message and acknowledge it. The file that it wrote may be given to "
                "'mesh-sim witness compare', which checks that nothing in it has changed.",
                all_acknowledged,
                props=(Waiting(),),
            ),
        ),
    ),
    Case(
        id="402",
        set="receiving",
        title="Receive a message compressed",
        rules=(*_COLLECTED, _GZIP_ACCEPTED, _GZIP_RECEIVED, *_UNALTERED),
        evidence=evidence,
        steps=(
            Step(
                Action.COLLECT,
                "A message compressed with gzip waits in the inbox of {mailbox}. Have your client check its "
                "inbox, download the message with Accept-Encoding: gzip, decompress it and acknowledge it. "
                "The file that it wrote may be given to 'mesh-sim witness compare', which checks that "
                "nothing in it has changed.",
                all_acknowledged,
                props=(Waiting(gzip=True),),
            ),
        ),
        required=False,
    ),
)
