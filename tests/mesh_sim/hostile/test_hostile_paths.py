"""Every odd character in every place of every path and query, and in what comes back as a header."""

from __future__ import annotations

import re
from typing import Final

import pytest
from raw import LAST, Heard, assert_decent, head, signed, talk
from support import V1, V2

from mesh_sim.api.routes import ROUTES

GOOD: Final = {
    "mailbox_id": "X26ABC1",
    "message_id": "20200529155357895317_3573F8",
    "chunk_number": "1",
    "local_id": "nobody-s",
    "ods_code": "X26",
    "workflow_id": "TEST_WORKFLOW",
    "nhs_number": "9990000018",
    "rule_id": "f1",
}
"""What may stand in a path, by the name of its place."""

ODD: Final = [
    *("%00", "1%00", "%0d%0aX-Injected:%201", "%0a", "%09", "%0b1", "%7F", "%20", "%201%20"),
    *("..", ".", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..", "..%5C..", "%2F", "a%2Fb", "%5C"),
    *("%c0%ae%c0%ae%c0%af", "%e0%80%af", "%ed%a0%80", "%ff", "%fe%ff", "%f4%90%80%80", "%EF%BB%BF"),
    *("%", "%2", "%zz", "%u0041", "%25", "%2525"),
    *(
        "'",
        "%22",
        "%27%20OR%201=1--",
        "%3Cscript%3E",
        "%7B%7B7*7%7D%7D",
        "$%7Bjndi:x%7D",
        "%25s%25n",
        "*",
        "!",
    ),
    *(";a=b", ":", "@", "&", "=", "+", ",", "~", "(", ")", "$", "-", "_"),
    *(
        "-1",
        "0",
        "00",
        "+1",
        "1e5",
        "1.0",
        "0x1",
        "1_000",
        "%D9%A1",
        "%EF%BC%91",
        "%C2%B9",
        "9" * 25,
        "9" * 4001,
    ),
    *("%E2%84%AA", "%C4%B1", "%C3%9F", "%EF%AC%80", "%F0%9F%92%A9", "%e2%80%ae", "CON", "a" * 5000),
]

VALUES: Final = [
    *ODD,
    *("", "%FF" * 30, "a" * 24, "%00" * 24, "NaN", "inf", "1e999", "-0", "true", "%s"),
    *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00%2B14:00", "2026-01-01T00:00:00%2B99:99", "36524d"),
    "aW5ib3gvWDI2QUJDMi8wMDAwMDAwMDAwMDAwMDAwMDAx",  # a cursor of another mailbox's inbox
]

PLACES: Final = [
    (route.method, route.path, place, version)
    for route in ROUTES
    for place in re.findall(r"\{(\w+)\}", route.path)
    if not route.path.startswith("/messageexchange/admin/")  # the same as under /admin
    for version in ((V1, V2) if route.path.startswith("/messageexchange/{") else (V1,))
]
READING: Final = {
    "/messageexchange/X26ABC1/inbox": ("max_results", "continue_from", "workflow_filter"),
    "/messageexchange/X26ABC1/inbox/rich": ("max_results", "continue_from", "start_time"),
    "/messageexchange/X26ABC1/outbox/rich": ("max_results", "continue_from", "start_time"),
    "/messageexchange/X26ABC1/outbox/tracking": ("messageID",),
    "/admin/messages": ("mailbox", "sender", "workflow", "local_id", "status", "type", "limit"),
    "/admin/wait": ("count",),
    "/admin/optouts": ("limit", "after"),
    "/admin/journal": ("mailbox", "operation", "status", "message_id", "since", "after", "order"),
}
"""Paths that read a query, and what they read of it."""


@pytest.mark.parametrize(("method", "path", "place", "version"), PLACES)
async def test_odd_characters_in_a_path_lead_nowhere(
    target: str, method: str, path: str, place: str, version: str
) -> None:
    """Whatever stands in a path is found, not found, or refused; nothing fails, and nothing is injected."""
    asked = [_ask(method, path.format(**{**GOOD, place: odd}), version) for odd in ODD]
    heads = tuple(range(len(ODD))) if method == "HEAD" else ()
    answers = (await talk(target, b"".join(asked) + LAST, heads=heads)).answers
    assert len(answers) == len(ODD) + 1
    for answer in answers:
        _assert_harmless(answer)


@pytest.mark.parametrize(("path", "keys"), READING.items(), ids=READING)
async def test_odd_values_in_a_query_are_refused_or_passed_over(
    target: str, path: str, keys: tuple[str, ...]
) -> None:
    """Whatever a query holds, its answer is the caller's: nothing fails, and nothing is injected."""
    also = {"/admin/wait": "timeout=0s&", "/admin/journal": "limit=1&"}.get(path, "")
    for key in keys:
        asked = [_ask("GET", f"{path}?{also}{key}={value}", V2) for value in VALUES]
        answers = (await talk(target, b"".join(asked) + LAST)).answers
        assert len(answers) == len(VALUES) + 1
        for answer in answers:
            _assert_harmless(answer)


@pytest.mark.parametrize(
    "host", ["a b", "<script>", "é".encode().decode("latin-1"), "\xff\xfe", "a" * 60_000, "][", ""]
)
async def test_a_redirect_holds_nothing_that_was_not_a_path(target: str, host: str) -> None:
    """Sent on to the path without its slash, a caller gets one header of one line, whatever Host it gave."""
    for path in (
        "/messageexchange/X26%0d%0aX-Injected:%201/inbox/",
        "/messageexchange/X%00%ff%c0%ae/inbox///",
    ):
        answers = (await talk(target, head("GET", path, signed(), host=host) + LAST)).answers
        assert [answer.status for answer in answers] in ([307, 200], [404, 200])
        for answer in answers:
            _assert_harmless(answer)


async def test_no_slash_sends_anybody_to_another_server(target: str) -> None:
    """A path that begins like an address is no redirect: it leads nowhere."""
    for path in (
        "//elsewhere.example/",
        "//elsewhere.example/messageexchange/X26ABC1/inbox/",
        "/\\elsewhere/",
    ):
        answer, _ = (await talk(target, head("GET", path) + LAST)).answers
        assert answer.status == 404
        assert answer.header("Location") is None


ECHOED: Final = (
    "Mex-Subject",
    "Mex-LocalID",
    "Mex-PartnerID",
    "Mex-FileName",
    "Mex-WorkflowID",
    "Mex-Content-Type",
)

TEXTS: Final = [
    *(
        b"../../etc/passwd",
        b"..\\..\\x.dat",
        b"%0d%0aX-Injected: 1",
        b"\\r\\nX-Injected: 1",
        b"a; filename=b",
    ),
    *(
        b"\"quoted\" 'and' <b>",
        b"{{7*7}} ${x} %s %n",
        "\xe9".encode("latin-1"),
        "café".encode(),
        bytes(range(0xA1, 0x100)),
    ),
    *(b"\xff\xfe\xc3", b'text/html; charset="', b"multipart/x; boundary=", b";;;,,,", b"=?utf-8?q?=0d=0a?="),
]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_header_comes_back_byte_for_byte_and_alone(target: str, text: bytes) -> None:
    """What the sender put into headers, the recipient gets as those headers' values; no others come of it."""
    lines = [f"{name}: ".encode() + text for name in ECHOED]
    sent = head(
        "POST", "/messageexchange/X26ABC1/outbox", signed(), "Mex-To: X26ABC2", *lines, "Content-Length: 4"
    )
    accepted, _ = (await talk(target, sent + b"body" + LAST)).answers
    assert accepted.status == 202, accepted
    path = f"/messageexchange/X26ABC2/inbox/{accepted.json()['messageID']}"
    asked = [_ask(method, path, version, "X26ABC2") for method in ("GET", "HEAD") for version in (V1, V2)]
    answers = (await talk(target, b"".join(asked) + LAST, heads=(2, 3))).answers
    assert [answer.status for answer in answers] == [200] * 5
    for answer in answers[:-1]:
        _assert_harmless(answer)
        assert [answer.header(name) for name in ECHOED] == [text.decode("latin-1")] * len(ECHOED)


def _ask(method: str, path: str, version: str, mailbox: str = "X26ABC1") -> bytes:
    return head(
        method, path, signed(mailbox), f"Accept: {version}", "Mex-Chunk-Range: 1:1", "Content-Length: 0"
    )


def _assert_harmless(answer: Heard) -> None:
    assert_decent(answer)
    assert answer.header("X-Injected") is None
    names = [name.lower() for name, _ in answer.headers]
    assert len(names) == len(set(names))
