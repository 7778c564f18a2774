"""The control API under fire: JSON that is not what it seems, and other sites' pages in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from controls import assert_control_refused, control
from raw import LAST, Heard, assert_decent, assert_log_decent, head, talk
from support import UNKNOWN_ID, Simulator

from mesh_sim.api.routes import ROUTES

MOMENT: Final = "2026-11-22T10:00:00Z"
BOX: Final = {
    "mailbox_id": "X26ABC3",
    "mailbox_name": "name",
    "password": "password",
    "billing_entity": "entity",
    "ods_code": "X26",
    "org_code": "X26",
    "org_name": "name",
    "active": True,
}
BODIES: Final[dict[tuple[str, str], list[dict[str, Any]]]] = {
    ("POST", "/admin/clock"): [{"advance": "1s"}, {"reset": True}],
    ("POST", "/admin/mailboxes"): [BOX],
    ("PATCH", "/admin/mailboxes"): [BOX],
    ("POST", "/admin/messages"): [
        {
            "to": "X26ABC2",
            "from": "X26ABC1",
            "workflow_id": "W",
            "count": 1,
            "body": "text",
            "subject": "subject",
            "local_id": "local",
            "file_name": "file",
            "content_type": "text/plain",
        },
        {"to": "X26ABC2", "body_base64": "dGV4dA=="},
    ],
    ("POST", "/admin/faults"): [
        {"action": "delay", "operation": "send", "mailbox": "X26ABC3", "delay": "1s", "nth": 1, "times": 1},
        {"action": "status", "status": 503, "retry_after": "1s", "probability": 0.5, "seed": 1, "times": 1},
        {"action": "truncate", "after_bytes": 5, "times": 1},
    ],
    ("PUT", "/admin/optouts"): [
        {"nhs_numbers": ["9990000018"], "opted_out": True, "registered_at": MOMENT, "channel": "app"}
    ],
    ("PATCH", "/admin/optouts"): [{"rate": 0.0, "seed": 1}],
    ("PUT", "/admin/optouts/{nhs_number}"): [{"registered_at": MOMENT, "channel": "app"}],
    ("DELETE", "/admin/optouts/{nhs_number}"): [{"registered_at": MOMENT, "channel": "app"}],
    ("POST", "/admin/witness"): [{"mailbox": "X26ABC3", "case": "704", "fresh": False}],
    ("POST", "/admin/witness/finish"): [{"mailbox": "X26ABC3", "step": 0, "exit_status": 1}],
    ("POST", "/admin/witness/compare"): [
        {"mailbox": "X26ABC3", "case": "401", "size": 1, "md5": "d41d8cd98f00b204e9800998ecf8427e"}
    ],
    ("POST", "/messageexchange/admin/report"): [
        {
            "mailbox_id": "X26ABC1",
            "code": "1",
            "description": "text",
            "workflow_id": "W",
            "subject": "subject",
            "local_id": "local",
            "status": "error",
            "file_name": "file",
            "linked_message_id": "id",
        }
    ],
    ("POST", "/admin/message/{message_id}/event"): [
        {"status": "error", "code": "1", "event": "E", "description": "text", "linked_message_id": "id"}
    ],
}
"""What each path that reads JSON may be told."""

OTHER: Final = {
    ("POST", "/admin/optouts/load"),
    ("DELETE", "/admin/faults"),
    ("DELETE", "/admin/faults/{rule_id}"),
    ("DELETE", "/admin/optouts"),
    ("DELETE", "/admin/journal"),
    ("DELETE", "/admin/witness"),
    ("DELETE", "/admin/reset"),
    ("DELETE", "/admin/reset/{mailbox_id}"),
}
"""Paths that change something and read no JSON."""

VALUES: Final = [
    *(
        "null",
        "true",
        "[]",
        "[[]]",
        "{}",
        '{"a": 1}',
        '""',
        "-1",
        "0",
        "0.1",
        "-0.0",
        "1e999",
        "1e400",
        "1e15",
    ),
    *("NaN", "Infinity", "-Infinity", "1" * 30, "9" * 4_200, "9" * 5_000, "253402300800", "-62135596801"),
    *('"\\ud800"', '"\\udcff"', '"\\u0000"', '"\\r\\nX-Injected: 1"', '"\\u212a"', '"\\ud83d\\ude00"'),
    *('"9999-12-31T23:59:59-14:00"', '"0001-01-01T00:00:00+14:00"', '"2026-11-22"', '"NaN"', '"-1s"'),
    *('"99999999999d"', '"36525d"', '"\\u0661"', f'"{"a" * 30_000}"', '"../../etc/passwd"'),
]

WHOLE: Final = {
    "deep lists": b"[" * 900_000,
    "deep objects": b'{"a":' * 150_000,
    "deep and closed": b'{"a":' * 900 + b"1" + b"}" * 900,
    "fields by the thousand": b"{" + b",".join(b'"k%d":1' % number for number in range(5_000)) + b"}",
    "items by the thousand": b'{"nhs_numbers":[' + b",".join([b'"x"'] * 100_000) + b"]}",
    "numbers as items": b'{"nhs_numbers":[' + b",".join([b"1"] * 100_000) + b"]}",
    "a number without end": b'{"a":' + b"9" * 300_000 + b"}",
    "a fraction without end": b'{"a":0.' + b"9" * 300_000 + b"}",
    "a lone surrogate for a name": b'{"\\ud800":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "no UTF-8": b'{"a":"\xff\xfe"}',
    "a NUL": b"\0{}",
    "cut short": b'{"a":',
    "two megabytes": b'{"a":"' + b"x" * 2_000_000 + b'"}',
}


def test_every_path_that_changes_something_is_attacked() -> None:
    """A path of the control API cannot be added without being told here what it reads."""
    changing = {
        (route.method, route.path)
        for route in ROUTES
        if route.method != "GET" and route.path.startswith(("/admin", "/messageexchange/admin/report"))
    }
    assert changing == set(BODIES) | OTHER


async def test_no_value_of_any_field_breaks_it(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Each field, told each odd value in turn, takes or refuses it; all that is kept can be shown again."""
    ids = {"nhs_number": "9990000018", "message_id": await simulator.caller().sent()}
    shown = [_ask("GET", route.path, b"") for route in ROUTES if _shows(route.method, route.path)]
    shown += [_ask("GET", f"/admin/witness{path}?mailbox=X26ABC3", b"") for path in ("", "/report")]
    begun = await control(simulator.url, "POST", "/admin/witness", {"mailbox": "X26ABC3", "case": "401"})
    assert begun.status == 201
    for (method, path), bodies in BODIES.items():
        where = path.format(**ids)
        asked = [_ask(method, where, given) for body in bodies for given in _spoilt(body)]
        for answer in await _answers(simulator.url, asked):
            assert len(answer.body) < 20_000, path
        assert {answer.status for answer in await _answers(simulator.url, shown)} == {200}, path
    assert_log_decent(caplog)


def _spoilt(body: dict[str, Any]) -> Iterator[bytes]:
    for field in (*body, "zz\\ud800", "\\u0000", ""):
        kept = {key: value for key, value in body.items() if key != field}
        rest = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in kept.items())
        for value in VALUES:
            yield f'{{"{field}": {value}{rest}}}'.encode()


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
async def test_no_body_breaks_it(target: str, body: bytes) -> None:
    """Bodies that are no JSON, too deep, too long or full of mistakes are refused in a few words."""
    for method, path in BODIES:
        where = path.format(nhs_number="9990000018", message_id=UNKNOWN_ID)
        answer, *_ = (await talk(target, _ask(method, where, body) + LAST)).answers
        assert_decent(answer)
        assert answer.status in (400, 413), path
        assert len(answer.body) < 20_000, path


async def test_opt_outs_cannot_be_poisoned(simulator: Simulator) -> None:
    """A moment that no calendar holds in UTC is refused: kept, it would break every look at the register."""
    for moment in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
        body = {"nhs_numbers": ["9990000018"], "registered_at": moment}
        refused = await control(simulator.url, "PUT", "/admin/optouts", body)
        assert_control_refused(refused, 400, field="registered_at", text="between the years 1 and 9999")
        query = f"/admin/optouts/load?registered_at={moment.replace('+', '%2B')}"
        assert_control_refused(await control(simulator.url, "POST", query, b"9990000018\n"), 400)
    assert (await control(simulator.url, "GET", "/admin/optouts/statistics")).status == 200


@pytest.mark.parametrize("number", ["9" * 5000, "1" * 30, "-1", "\xb2", "\xef\xbc\x91", "1 2"])
async def test_events_are_not_read_on_from_nowhere(target: str, number: str) -> None:
    """A Last-Event-ID that is no number of an event is 400."""
    answers = (await talk(target, head("GET", "/admin/events", f"Last-Event-ID: {number}") + LAST)).answers
    assert [answer.status for answer in answers] == [400, 200]
    assert_decent(answers[0])


BROWSERS: Final[dict[str, tuple[str, ...]]] = {
    "a form of another site": ("Origin: https://elsewhere.example", "Content-Type: text/plain"),
    "a sandboxed page": ("Origin: null", "Content-Type: text/plain"),
    "the same name on another port": ("Origin: http://127.0.0.1:9", "Content-Type: text/plain"),
    "a name that begins like ours": ("Origin: http://localhost.elsewhere.example",),
    "a page that names no origin": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
    "a page of a sibling": ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"),
    "a form that asks for a page": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
}


async def test_a_page_of_another_site_changes_nothing(simulator: Simulator) -> None:
    """What a browser sends on another site's behalf is 403 on every path that changes something."""
    host = simulator.url.removeprefix("http://")
    for who, lines in BROWSERS.items():
        asked = [
            head(method, _somewhere(path), *lines, "Content-Length: 2", host=host) + b"{}"
            for method, path in (*BODIES, *OTHER)
        ]
        assert {answer.status for answer in await _answers(simulator.url, asked)} == {403}, who


async def test_a_page_under_a_borrowed_name_reads_nothing(simulator: Simulator) -> None:
    """Another site's name that leads to this machine opens no path, though page and server agree on it."""
    lines = ("Origin: http://rebound.example:8700", "Sec-Fetch-Site: same-origin", "Content-Length: 0")
    asked = [
        head(route.method, _somewhere(route.path), *lines, host="rebound.example:8700")
        for route in ROUTES
        if route.path.startswith(("/admin", "/metrics", "/messageexchange/admin"))
        and route.path != "/admin/ready"
    ]
    assert {answer.status for answer in await _answers(simulator.url, asked)} == {403}


async def test_who_names_no_host_is_not_let_in(target: str) -> None:
    """In HTTP/1.0 a Host may be missing: the control API is then 403, and a redirect names none either."""
    (answer,) = (await talk(target, b"GET /admin/clock HTTP/1.0\r\n\r\n")).answers
    assert answer.status == 403
    (answer,) = (await talk(target, b"GET /messageexchange/X26ABC1/inbox/ HTTP/1.0\r\n\r\n")).answers
    assert (answer.status, answer.header("Location")) == (307, "/messageexchange/X26ABC1/inbox")


async def test_a_tester_s_own_browser_and_programs_are_let_in(simulator: Simulator) -> None:
    """The server's own pages, an address typed or followed, and programs that are no browser get answers."""
    host = simulator.url.removeprefix("http://")
    own: Callable[..., bytes] = lambda *lines: head("GET", "/admin/clock", *lines, host=host)  # noqa: E731
    for lines in (
        (),
        (f"Origin: {simulator.url}", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"),
        ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
    ):
        assert (await talk(simulator.url, own(*lines) + LAST)).statuses == [200, 200]


def _somewhere(path: str) -> str:
    return path.format(nhs_number="9990000018", rule_id="f1", message_id=UNKNOWN_ID, mailbox_id="X26ABC1")


def _shows(method: str, path: str) -> bool:
    others = ("/admin/events", "/admin/wait", "/admin/ready", "/admin/witness", "/admin/witness/report")
    return method == "GET" and path.startswith("/admin") and "{" not in path and path not in others


def _ask(method: str, path: str, body: bytes) -> bytes:
    return head(method, path, f"Content-Length: {len(body)}") + body


async def _answers(url: str, asked: list[bytes]) -> tuple[Heard, ...]:
    """Ask one after the other on one connection; every answer is decent, and there are as many."""
    *answers, last = (await talk(url, b"".join(asked) + LAST)).answers
    assert (len(answers), last.status) == (len(asked), 200)
    for answer in answers:
        assert_decent(answer)
        assert answer.header("X-Injected") is None
    return tuple(answers)
