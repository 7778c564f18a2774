"""``/metrics`` for Prometheus: what clients asked, how long it took, what waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mesh_sim.api.keys import EXCHANGE, FAULTS, TIME
from mesh_sim.witness.journal import Entry

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Figures:
    """What one request counts in. Looking these up by their labels takes longer than counting."""

    requests: Counter
    seconds: Histogram
    received: Counter
    sent: Counter


class Metrics:
    """The figures of one server, in a registry of its own: several servers may run in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("operation",)
        self._requests = Counter(
            "mesh_sim_requests",
            "MESH requests answered, by operation and status (0: the connection broke first).",
            (*labels, "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "mesh_sim_request_seconds",
            "From the first byte of a MESH request to its answer.",
            labels,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._received = Counter(
            "mesh_sim_received_bytes", "Body bytes of MESH requests.", labels, registry=self.registry
        )
        self._sent = Counter(
            "mesh_sim_sent_bytes", "Body bytes of answers to MESH requests.", labels, registry=self.registry
        )
        self._figures: dict[tuple[str, int], _Figures] = {}
        self._faults = Gauge(
            "mesh_sim_fault_hits",
            "Requests that a fault rule acted on.",
            ("rule", "operation", "action"),
            registry=self.registry,
        )
        self._waiting = Gauge(
            "mesh_sim_messages_waiting",
            "Messages in a mailbox's inbox.",
            ("mailbox",),
            registry=self.registry,
        )
        self._offset = Gauge(
            "mesh_sim_clock_offset_seconds",
            "How far simulated time is ahead of real time.",
            registry=self.registry,
        )

    def count(self, entry: Entry) -> None:
        """Count one request."""
        kind = (entry.operation, entry.status)
        figures = self._figures.get(kind)
        if figures is None:
            figures = self._figures[kind] = self._figures_of(*kind)
        figures.requests.inc()
        figures.seconds.observe(entry.duration_s)
        if entry.received_bytes:
            figures.received.inc(entry.received_bytes)
        if entry.sent_bytes:
            figures.sent.inc(entry.sent_bytes)

    def _figures_of(self, operation: str, status: int) -> _Figures:
        return _Figures(
            self._requests.labels(operation, str(status)),
            self._seconds.labels(operation),
            self._received.labels(operation),
            self._sent.labels(operation),
        )

    def look(self, *, waiting: Iterable[tuple[str, int]], offset_s: float) -> None:
        """Take in what is as it is at this moment."""
        self._waiting.clear()
        for mailbox_id, count in waiting:
            self._waiting.labels(mailbox_id).set(count)
        self._offset.set(offset_s)

    def rules(self, hits: Iterable[tuple[str, str, str, int]]) -> None:
        """Take in the fault rules: id, operation, action and hits of each."""
        self._faults.clear()
        for rule_id, operation, action, count in hits:
            self._faults.labels(rule_id, operation, action).set(count)


METRICS = web.AppKey("metrics", Metrics)


async def show_metrics(request: web.Request) -> web.Response:
    """Give all figures in Prometheus's text format."""
    metrics, exchange = request.app[METRICS], request.app[EXCHANGE]
    waiting = [
        (mailbox.mailbox_id, await exchange.waiting(mailbox)) for mailbox in exchange.directory.mailboxes
    ]
    metrics.look(waiting=waiting, offset_s=request.app[TIME].offset.total_seconds())
    metrics.rules(
        (counted.rule.id, counted.rule.operation, counted.rule.action, counted.hits)
        for counted in request.app[FAULTS].counted()
    )
    return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
