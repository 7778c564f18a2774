"""Traffic made up for the cases' tests: one call a request, a second of real time after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from hypothesis import strategies as st

from mesh_sim.witness.cases.base import Case, judge
from mesh_sim.witness.journal import REPLAYED, WITNESSED, Details, Entry
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, NOBODY, Attempt, Compared, Original
from mesh_sim.witness.trace import Trace

MAILBOX: Final = "X26ABC1"
BEGUN: Final = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

SENT_HEADERS: Final = (
    "Authorization",
    "Mex-From",
    "Mex-To",
    "Mex-WorkflowID",
    "Content-Type: application/octet-stream",
)
"""What a send of case 201 has."""


def message_id(number: int) -> str:
    """Make an id shaped like a message's (section 12)."""
    return f"20261124090000{number:06}_0000AB"


def broken(case: Case, trace: Trace) -> list[tuple[str, int | None]]:
    """Give the rules that a trace breaks, by what each expects, with the number of the request to blame."""
    return [
        (ruling.rule.expected, ruling.breach.entry.number if ruling.breach.entry is not None else None)
        for ruling in judge(case, trace).rulings
        if ruling.breach is not None
    ]


class Tape:
    """A client's requests as the journal would have noted them, and the stages set up meanwhile."""

    def __init__(self, case: str = "") -> None:
        self.now = BEGUN
        self.entries: list[Entry] = []
        self.stagings: list[datetime] = []
        self.attempt = Attempt(case, ()) if case else None

    def wait(self, **units: float) -> Self:
        """Let real time pass before the next request."""
        self.now += timedelta(**units)
        return self

    def stage(self, **facts: Any) -> Self:
        """Set the case's next step up; ``facts`` are fields of its :class:`Attempt`."""
        assert self.attempt is not None
        self.stagings.append(self.now)
        self.attempt = replace(self.attempt, steps_at=(*self.attempt.steps_at, self.now), **facts)
        return self.wait(seconds=1)

    def end(self, **facts: Any) -> Self:
        """End the attempt."""
        assert self.attempt is not None
        self.attempt = replace(self.attempt, ended_at=self.now, **facts)
        return self.wait(seconds=1)

    def trace(self) -> Trace:
        """Give what a case is judged by."""
        return Trace(tuple(self.entries), self.now, self.attempt, tuple(self.stagings))

    def request(
        self,
        operation: str,
        status: int = 200,
        *,
        message: str = "",
        reason: str = "",
        seconds: float = 0.01,
        method: str = "GET",
        received: int = 0,
        sent: int = 0,
        **details: Any,
    ) -> Self:
        """Note one request that took ``seconds``; ``details`` are fields of its :class:`Details`."""
        self.entries.append(
            Entry(
                number=len(self.entries) + 1,
                at=self.now,
                simulated_at=self.now,
                mailbox=MAILBOX,
                operation=operation,
                method=method,
                status=status,
                received_bytes=received,
                sent_bytes=sent,
                duration_s=seconds,
                message_id=message,
                reason=reason or ("refused" if status >= 400 else ""),
                details=Details(**details),
            )
        )
        return self.wait(seconds=1)

    def handshake(self, **options: Any) -> Self:
        """Shake hands."""
        return self.request("handshake", **options)

    def list(self, listed: int = 0, *, more: bool = False, **options: Any) -> Self:
        """Check the inbox; the answer names so many messages."""
        return self.request("list", listed=listed, more=more, **options)

    def send(self, status: int = 202, *, to: str = COUNTERPART, message: str = "", **options: Any) -> Self:
        """Send a message with the headers of case 201, or its first chunk."""
        options.setdefault("headers", SENT_HEADERS)
        return self.request(
            "send", status, message=message or message_id(len(self.entries)), recipient=to, **options
        )

    def send_chunk(self, message: str, chunk: str, status: int = 202, **options: Any) -> Self:
        """Send a later chunk."""
        options.setdefault("headers", ("Authorization", "Mex-Chunk-Range"))
        return self.request("send-chunk", status, message=message, chunk=chunk, **options)

    def download(self, message: str, status: int = 200, **options: Any) -> Self:
        """Download a message, or its first chunk."""
        options.setdefault("message_type", "DATA" if status < 400 else "")
        return self.request("download", status, message=message, **options)

    def download_chunk(self, message: str, chunk: str, status: int = 200, **options: Any) -> Self:
        """Download a later chunk."""
        options.setdefault("message_type", "DATA" if status < 400 else "")
        return self.request("download-chunk", status, message=message, chunk=chunk, **options)

    def acknowledge(self, message: str, **options: Any) -> Self:
        """Acknowledge a message."""
        return self.request("acknowledge", message=message, method="PUT", **options)


_OPERATIONS: Final = (
    "handshake",
    "list",
    "send",
    "send-chunk",
    "download",
    "download-chunk",
    "acknowledge",
    "track",
    "head",
    "count",
    "-",
)
_STATUSES: Final = (0, 200, 202, 206, 304, 307, 400, 403, 404, 405, 410, 417, 425, 429, 500, 503)
_TO: Final = st.sampled_from(("", MAILBOX, COUNTERPART, DORMANT, NOBODY))
_IDS: Final = st.sampled_from(("", *(message_id(number) for number in range(4))))
_SIZES: Final = st.none() | st.integers(0, 300_000_000)
_MD5S: Final = st.sampled_from(("", "0" * 32, "a" * 32, "f" * 32))
_TIMES: Final = st.floats(0, 200_000).map(lambda seconds: BEGUN + timedelta(seconds=seconds))


def any_details() -> st.SearchStrategy[Details]:
    """Anything that may be noted of a request, whether or not it fits the operation."""
    return st.builds(
        Details,
        in_flight=st.integers(0, 3),
        listed=st.none() | st.integers(0, 600),
        more=st.booleans(),
        message_type=st.sampled_from(("", "DATA", "REPORT")),
        chunk=st.sampled_from(("", "1:1", "1:0", "1:3", "2:3", "3:3", "4:3", "2", "a:b", " 1 : 2 ")),
        recipient=_TO,
        headers=st.lists(st.sampled_from(WITNESSED), unique=True).map(tuple),
        gzip=st.booleans(),
        payload_bytes=_SIZES,
        md5=_MD5S,
        whole_bytes=_SIZES,
        whole_md5=_MD5S,
    )


def any_entry() -> st.SearchStrategy[Entry]:
    """Any request, likely or not."""
    return st.builds(
        Entry,
        number=st.integers(1, 1_000),
        at=_TIMES,
        simulated_at=_TIMES,
        mailbox=st.just(MAILBOX),
        operation=st.sampled_from(_OPERATIONS),
        method=st.sampled_from(("GET", "POST", "PUT", "HEAD")),
        status=st.sampled_from(_STATUSES),
        received_bytes=st.integers(0, 1_000),
        sent_bytes=st.integers(0, 1_000),
        duration_s=st.floats(0, 1_000),
        message_id=_IDS,
        reason=st.sampled_from(("", "refused", REPLAYED)),
        fault=st.sampled_from(("", "1")),
        details=any_details(),
    )


def any_attempt(case: str) -> st.SearchStrategy[Attempt]:
    """Any try at a case, under way or ended, with any stage."""
    times = st.lists(_TIMES, max_size=3).map(sorted).map(tuple)
    originals = st.builds(
        Original, st.integers(0, 300_000_000), _MD5S, st.lists(_MD5S, max_size=3).map(tuple)
    )
    return st.builds(
        Attempt,
        case=st.just(case),
        steps_at=times,
        ended_at=st.none() | _TIMES,
        recipient=_TO,
        message_ids=st.lists(_IDS, max_size=4).map(tuple),
        report_id=_IDS,
        original=st.none() | originals,
        compared=st.lists(st.builds(Compared, _TIMES, st.integers(0, 300_000_000), _MD5S), max_size=2).map(
            tuple
        ),
        exit_statuses=st.lists(st.none() | st.integers(0, 3), max_size=3).map(tuple),
    )


def any_trace(case: str = "") -> st.SearchStrategy[Trace]:
    """Any requests in the order they began; with a ``case``, one that was tried, or was not."""
    return st.builds(
        Trace,
        st.lists(any_entry(), max_size=12).map(lambda found: tuple(sorted(found, key=lambda it: it.at))),
        _TIMES,
        st.none() | any_attempt(case) if case else st.none(),
        st.lists(_TIMES, max_size=3).map(sorted).map(tuple),
    )
