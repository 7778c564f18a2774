"""Section 6: the handshake."""

from __future__ import annotations

import pytest
from support import HANDSHAKE, Callers, assert_invalid, both_versions

NAMES = ("mex-clientversion", "mex-osname", "mex-osversion")


def without(*names: str) -> dict[str, str]:
    """The required headers less some."""
    return {name: value for name, value in HANDSHAKE.items() if name.lower() not in names}


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "headers",
    [
        HANDSHAKE,
        dict.fromkeys(HANDSHAKE, ""),
        {**HANDSHAKE, "User-Agent": "tests", "mex-OSArchitecture": "x86", "mex-JavaVersion": "N/A"},
    ],
    ids=["required headers", "empty values", "optional headers too"],
)
async def test_version_1_names_the_mailbox(shared: Callers, method: str, headers: dict[str, str]) -> None:
    """A handshake is answered with the mailbox's own id, by POST and by GET."""
    answer = await shared.caller().request(method, version=1, headers=headers)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json() == {"mailboxId": "X26ABC1"}


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_version_2_answers_nothing(shared: Callers, method: str) -> None:
    """A version 2 handshake is an empty 200."""
    answer = await shared.caller().request(method, version=2, headers=HANDSHAKE)
    assert (answer.status, answer.body, answer.content_type) == (200, b"", None)
    assert answer.headers["Content-Length"] == "0"


@both_versions
@pytest.mark.parametrize("missing", [*((name,) for name in NAMES), NAMES[:2], NAMES], ids="+".join)
async def test_each_missing_header_is_named(shared: Callers, missing: tuple[str, ...], version: int) -> None:
    """Missing headers are 400 in the order of the reference, one item each and without an input."""
    answer = await shared.caller().request("POST", version=version, headers=without(*missing))
    assert_invalid(answer, *(("missing", "header", name) for name in missing))
    assert [item["loc"][1] for item in answer.json()["detail"]] == list(missing)
    assert all(item["msg"] == "Field required" for item in answer.json()["detail"])
    assert not any("input" in item for item in answer.json()["detail"])


async def test_a_wrong_password_comes_before_missing_headers(shared: Callers) -> None:
    """Authorization is checked first, whatever else is missing."""
    assert (await shared.caller(password="wrong").request("POST")).status == 403
