"""A simulator in full swing, for pictures of every page: something of everything that pages show."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any, Final

from support import HANDSHAKE, OCTET_STREAM, authorization, minute

from mesh_sim import Simulator
from mesh_sim.witness.originals import blocks
from ndoo.lists import generate

PRACTICE: Final = "X99GP001"
SERVICE: Final = "X26HC065"
CLIENT: Final = "X26ABC1"
OTHER: Final = "X26ABC2"

SETTINGS: Final[dict[str, Any]] = {"opt_out_rate": 0.054, "ndoo_reply_delay": "30m"}
"""What the scene's simulator is started with."""

_CHANNELS: Final = (*("app",) * 7, *("web",) * 5, *("phone",) * 4, *("post",) * 2, *("staff",) * 2, "proxy")


def lively(simulator: Simulator) -> None:
    """Have everything happen that a page shows: letters, lists, refusals, faults, choices and a rehearsal."""
    _Scene(simulator).play()


class _Scene:
    """What the clients of one simulator do, one request after the other."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def play(self) -> None:
        self._letters()
        self._lists()
        self._choices()
        self._rehearsal()
        self._faults()
        self._refusals()

    # -- what happens -------------------------------------------------------------------------------

    def _letters(self) -> None:
        put = self._simulator.put
        put(
            OTHER, "Clinic list", workflow_id="CLINIC_LISTS", subject="Tuesday's clinic", local_id="clinic-47"
        )
        self._simulator.advance(timedelta(days=5, minutes=1))
        put(OTHER, sender=PRACTICE, workflow_id="GP2GP", subject="Discharge summary", local_id="letter-1041")
        self._collect(OTHER)
        for number in range(1042, 1047):
            put(OTHER, f"Letter {number}\n", workflow_id="LETTERS", local_id=f"letter-{number}")
        self._simulator.advance("3h")
        self._send(CLIENT, b"chunk one of three", OTHER, "IMAGES", "scan-7", Mex_Chunk_Range="1:3")

    def _lists(self) -> None:
        self._submit("audit-2026-11", 480, subject="Annual-audit")
        self._submit("recall-11", 120, subject="Flu recall")  # a blank, to which the service stays silent
        self._submit("recall-12", 120, subject="Flu-recall", workflow="SPINE_NTT_UPHOLDING_CACHE")
        self._simulator.advance("31m")
        for local_id, subject in (("audit-2026-11", "Annual-audit"), ("recall-12", "Flu-recall")):
            self._simulator.wait_for(PRACTICE, local_id=local_id, subject=subject)
        self._collect(PRACTICE, limit=3)
        self._submit("research-3", 260, subject="Research")

    def _choices(self) -> None:
        (numbers,) = generate(len(_CHANNELS), seed=5)
        for number, channel in zip(numbers.tolist(), _CHANNELS, strict=True):
            self._control("PUT", f"/admin/optouts/{number:010}", {"channel": channel})
        for number in numbers.tolist()[:2]:
            self._control("DELETE", f"/admin/optouts/{number:010}", {"channel": "app"})

    def _rehearsal(self) -> None:
        self._ask(CLIENT, "POST", "", **HANDSHAKE)
        cue = self._simulator.rehearse(CLIENT, "201")
        assert cue.file is not None
        file = b"".join(blocks("201", cue.file.size))
        self._send(CLIENT, file, cue.to, cue.workflow_id, "witness-201")
        self._list(CLIENT)
        cue = self._simulator.rehearse(CLIENT, "401")
        self._list(CLIENT)
        for _ in range(2):  # which the case forbids
            self._ask(CLIENT, "GET", f"inbox/{cue.message_id}")
        self._ask(CLIENT, "PUT", f"inbox/{cue.message_id}/status/acknowledged")
        self._simulator.rehearse(CLIENT, "402")

    def _faults(self) -> None:
        self._simulator.fail("send", status=503, times=1, mailbox=OTHER)
        self._simulator.fail("list", delay="2s", nth=100)
        self._send(OTHER, b"An answer", CLIENT, "LETTERS", "answer-1")
        self._send(OTHER, b"An answer", CLIENT, "LETTERS", "answer-1")

    def _refusals(self) -> None:
        self._list(
            OTHER, authorization(OTHER, password="TestKey", shared_key="password")
        )  # the wrong way round
        self._list(OTHER, authorization(OTHER, timestamp=minute(-timedelta(hours=3))))
        used = authorization(OTHER)
        self._list(OTHER, used)
        self._list(OTHER, used)
        self._send(CLIENT, b"For nobody", "X26NOONE", "LETTERS", "letter-1047")
        self._list(PRACTICE)

    # -- requests -----------------------------------------------------------------------------------

    def _submit(
        self, local_id: str, count: int, *, subject: str, workflow: str = "SPINE_NTT_UPHOLDING"
    ) -> None:
        lines = [
            f"{int(number):010},\r\n" for numbers in generate(count, seed=len(subject)) for number in numbers
        ]
        self._send(PRACTICE, "".join(lines).encode(), SERVICE, workflow, local_id, Mex_Subject=subject)

    def _send(self, mailbox: str, body: bytes, to: str, workflow: str, local_id: str, **headers: str) -> None:
        named = {
            "Mex_From": mailbox,
            "Mex_To": to,
            "Mex_WorkflowID": workflow,
            "Content_Type": OCTET_STREAM,
        } | headers
        self._ask(mailbox, "POST", "outbox", body, **named, **({"Mex_LocalID": local_id} if local_id else {}))

    def _list(self, mailbox: str, token: str = "") -> list[str]:
        return list(self._ask(mailbox, "GET", "inbox", token=token).get("messages", ()))

    def _collect(self, mailbox: str, limit: int | None = None) -> None:
        for message_id in self._list(mailbox)[:limit]:
            self._ask(mailbox, "GET", f"inbox/{message_id}")
            self._ask(mailbox, "PUT", f"inbox/{message_id}/status/acknowledged")

    def _ask(
        self,
        mailbox: str,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str = "",
        **headers: str,
    ) -> dict[str, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": token or authorization(mailbox), "User-Agent": "example-client/2.1"}
        address = f"{self._simulator.url}/messageexchange/{mailbox}/{path}".rstrip("/")
        return self._answered(urllib.request.Request(address, body, sent, method=method))

    def _control(self, method: str, path: str, wish: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json"}
        body = json.dumps(wish).encode()
        self._answered(urllib.request.Request(self._simulator.url + path, body, headers, method=method))

    @staticmethod
    def _answered(request: urllib.request.Request) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                content_type, text = answer.headers.get("Content-Type", ""), answer.read()
        except urllib.error.HTTPError as refused:
            with refused:  # many of them are meant to be
                return {}
        return dict(json.loads(text)) if text and "json" in content_type else {}
