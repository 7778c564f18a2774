"""Who may control the simulator, and what it says to requests it does not understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from controls import assert_control_refused, control
from support import MakeSimulator, Simulator

from mesh_sim.api.routes import CONTROL, OPERATIONS

PATHS = sorted((method, path.format(nhs_number="9990000018", rule_id="f1")) for method, path, _ in CONTROL)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_every_control_path_needs_the_token(
    make_simulator: MakeSimulator, method: str, path: str
) -> None:
    """With a token set, a request without it or with another is 401 on every path, and says what to send."""
    simulator = await make_simulator(admin_token="a token for tests")
    for headers in (
        {},
        {"Authorization": "Bearer another one"},
        {"Authorization": "Basic a token for tests"},
    ):
        answer = await control(simulator.url, method, path, headers=headers)
        assert_control_refused(answer, 401, text="MESH_SIM_ADMIN_TOKEN")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_token_opens(make_simulator: MakeSimulator) -> None:
    """With the token the control API answers; MESH itself and readiness never ask for it."""
    simulator = await make_simulator(admin_token="a token for tests")
    headers = {"Authorization": "Bearer a token for tests"}
    assert (await control(simulator.url, "GET", "/admin/clock", headers=headers)).status == 200
    assert (await control(simulator.url, "GET", "/admin/ready")).status == 200
    assert (await simulator.caller().get("inbox")).status == 200


@pytest.mark.parametrize("path", ["/admin/clock", "/metrics"])
async def test_other_sites_pages_are_kept_out(simulator: Simulator, path: str) -> None:
    """A browser's request on behalf of another site is 403, though there is no token; our own is not."""
    answer = await control(simulator.url, "GET", path, headers={"Origin": "http://evil.example"})
    assert_control_refused(answer, 403, text="other sites")
    assert (await control(simulator.url, "GET", path, headers={"Origin": simulator.url})).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example:8700", 403),
        ("192.0.2.1:8700", 403),
        ("][", 403),
        ("localhost@evil.example", 403),
        ("localhost:9000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8700", 200),
    ],
)
async def test_another_name_for_this_machine_opens_nothing(
    simulator: Simulator, host: str, status: int
) -> None:
    """A name that somebody made point to loopback is refused without a token; MESH itself does not mind."""
    answer = await control(simulator.url, "GET", "/admin/clock", headers={"Host": host})
    if status == 403:
        assert_control_refused(answer, 403, text="MESH_SIM_ADMIN_TOKEN")
    else:
        assert answer.status == 200
    mesh = await simulator.caller().get("inbox", headers={"Host": host})
    assert mesh.status == 200


async def test_a_trailing_slash_is_not_sent_on_to_a_host_that_is_none(simulator: Simulator) -> None:
    """With a Host header that cannot be one, a trailing slash leads nowhere, and nothing fails."""
    slashed = "/messageexchange/X26ABC1/inbox/"
    for host, status in (("][", 404), ("localhost:8700", 307)):
        answer = await control(simulator.url, "GET", slashed, headers={"Host": host}, allow_redirects=False)
        assert answer.status == status


async def test_with_a_token_any_name_will_do(make_simulator: MakeSimulator) -> None:
    """Whoever has the token may call the server by whatever name leads there."""
    simulator = await make_simulator(admin_token="a token for tests")
    headers = {"Host": "mesh-sim:8700", "Authorization": "Bearer a token for tests"}
    assert (await control(simulator.url, "GET", "/admin/clock", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"nonsense", "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b'"\xff"', "not JSON"),
        (b'{"advance": "5d", "advance2": 1}', "did you mean advance?"),
        (b'{"zzz": 1}', "known are advance, reset"),
        (b"x" * 2_000_000, "larger"),
    ],
    ids=["text", "list", "not UTF-8", "misspelt", "unknown", "large"],
)
async def test_bodies_that_are_not_understood(simulator: Simulator, body: bytes, text: str) -> None:
    """A body that is not what the path takes is refused with what is wrong with it, and nothing happens."""
    answer = await control(simulator.url, "POST", "/admin/clock", body)
    assert_control_refused(answer, 413 if len(body) > 1_000_000 else 400, text=text)
    assert (await control(simulator.url, "GET", "/admin/clock")).json()["offset_s"] == 0


@pytest.mark.parametrize("path", sorted({path for _, path, _ in CONTROL}))
def test_every_control_path_is_documented(path: str) -> None:
    """docs/control.md names each path of the control API."""
    page = (Path(__file__).parents[3] / "docs" / "control.md").read_text("utf-8")
    written = path.replace("{nhs_number}", "NUMBER").replace("{rule_id}", "ID")
    assert f"{written}`" in page or f"{written}?" in page


def test_every_operation_is_documented() -> None:
    """docs/control.md names each operation that a fault may be for."""
    page = (Path(__file__).parents[3] / "docs" / "control.md").read_text("utf-8")
    assert not [operation for operation in OPERATIONS if f"`{operation}`" not in page]
