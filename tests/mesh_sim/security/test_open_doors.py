"""Ways around the rule that the control API is closed to other machines unless a token is set."""

from __future__ import annotations

import traceback

import pytest
from controls import assert_control_refused, control
from support import Callers, MakeSimulator, Simulator

from mesh_sim.app import running
from mesh_sim.config import Settings, SettingsError, load_settings


@pytest.mark.parametrize(
    "host",
    [
        "", "0", "0.0.0.0", "::", "::0", "[::]", "0000::", "*", "localhost.", "localhost.example", "127.1",
        "0177.0.0.1", "2130706433", "::ffff:0.0.0.0", "127.0.0.1.example", "127.0.0.1 ",
        "127.0.0.1:8700", "169.254.1.1", "10.0.0.1", "fe80::1",
    ],
)  # fmt: skip
async def test_a_doubtful_address_needs_a_token(host: str) -> None:
    """Whatever is not plainly this machine alone stops the start, before anything listens."""
    with pytest.raises(SettingsError, match="set MESH_SIM_ADMIN_TOKEN"):
        async with running(Settings(host=host, port=0)):
            pass


async def test_a_token_is_needed_on_loopback_too(make_simulator: MakeSimulator) -> None:
    """With a token set, being on this machine opens nothing; nor does part of it, or more."""
    token = "token-for-tests"
    simulator = await make_simulator(admin_token=token)
    for given in (
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {token[:-1]}",
        f"Bearer {token}x",
        f"Bearer  {token}",
        token,
    ):
        answer = await control(
            simulator.url, "GET", "/admin/mailboxes", headers={"Authorization": given, "Host": "localhost"}
        )
        assert_control_refused(answer, 401, text="MESH_SIM_ADMIN_TOKEN")


@pytest.mark.parametrize(
    ("name", "value"), [("MESH_SIM_ADMIN_TOKEN", "hush"), ("MESH_SIM_PORT", "none"), ("MESH_SIM_TLS", "none")]
)
def test_a_setting_that_is_refused_gives_no_secret_away(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Not even the traceback of a start that was refused shows a key or a token."""
    secrets = {"MESH_SIM_SHARED_KEY": "hush-key-of-all", "MESH_SIM_ADMIN_TOKEN": "hush-token-of-all"}
    for variable, given in {**secrets, name: value}.items():
        monkeypatch.setenv(variable, given)
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert "hush" not in "".join(traceback.format_exception(caught.value))


async def test_no_object_shows_its_secrets(make_simulator: MakeSimulator) -> None:
    """What a debugger or an error's text would print of settings, server and mailboxes holds no secret."""
    simulator = await make_simulator(admin_token="hush-token", shared_key="hush-key")
    core = simulator.server.core
    mailbox = {"mailbox_id": "X26HUSH", "password": "hush-password"}
    headers = {"Authorization": "Bearer hush-token"}
    made = await control(simulator.url, "POST", "/admin/mailboxes", mailbox, headers=headers)
    assert made.status == 201
    shown = [
        repr(each) for each in (simulator.server, core, core.settings, *core.exchange.directory.mailboxes)
    ]
    assert any("X26HUSH" in text for text in shown)
    assert not [text for text in shown if "hush-" in text]


async def test_an_unknown_mailbox_is_told_from_a_wrong_password(shared: Callers) -> None:
    """As in MESH itself: which mailboxes there are is no secret, and a password is never near the answer."""
    unknown = await shared.caller("X26NONE").get("inbox", version=2)
    wrong = await shared.caller(password="another").get("inbox", version=2)
    assert unknown.status == wrong.status == 403
    assert unknown.json()["detail"][0]["msg"] == "No mailbox matched"
    assert wrong.json()["detail"][0]["msg"] == "Invalid Authentication Token"


async def test_the_same_answer_for_any_wrong_password(simulator: Simulator) -> None:
    """A password that is nearly right is answered as one that is not, to the byte."""
    answers = [
        await simulator.caller(password=password).get("inbox")
        for password in ("", "p", "password"[:-1], "passworD", "password ", "another")
    ]
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert answers[0].status == 403
