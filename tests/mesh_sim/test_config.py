"""Settings: where they come from, and what stops the start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mesh_sim.config import Relaxation, Settings, SettingsError, Tls, load_settings, refuse_open_control
from mesh_sim.participants import load_directory

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mesh-sim.toml but the test's own."""
    monkeypatch.chdir(tmp_path)


def test_an_option_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is option, environment, file, default."""
    (tmp_path / "mesh-sim.toml").write_text('host = "localhost"\nport = 1\nopt_out_seed = 7\n')
    monkeypatch.setenv("MESH_SIM_PORT", "2")
    monkeypatch.setenv("MESH_SIM_HOST", "127.0.0.2")
    settings = load_settings(port=3, host=None)
    assert (settings.port, settings.host, settings.opt_out_seed) == (3, "127.0.0.2", 7)
    assert settings.data == Path("mesh-sim-data")


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("MESH_SIM_NDOO_REPLY_DELAY", "40m", "ndoo_reply_delay", timedelta(minutes=40)),
        ("MESH_SIM_CACHE_LIFETIME", "21d", "cache_lifetime", timedelta(days=21)),
        ("MESH_SIM_TLS", "mutual", "tls", Tls.MUTUAL),
        ("MESH_SIM_OPT_OUT_RATE", "0", "opt_out_rate", 0.0),
        ("MESH_SIM_ALLOW", "", "allow", frozenset()),
        (
            "MESH_SIM_ALLOW",
            "token-reuse, oversize",
            "allow",
            frozenset({Relaxation.TOKEN_REUSE, Relaxation.OVERSIZE}),
        ),
        ("MAILBOXES_DATA_DIR", "/sandbox", "data", Path("/sandbox")),
        ("BUILD_LABEL", "v9", "build_label", "v9"),
    ],
)
def test_a_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, expected: object
) -> None:
    """Each kind of value is read from its variable, the sandbox's variables included."""
    monkeypatch.setenv(variable, value)
    assert getattr(load_settings(), name) == expected


def test_the_sandbox_s_shared_key_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """SHARED_KEY works, and the project's own variable wins over it."""
    monkeypatch.setenv("SHARED_KEY", "Banana")
    assert load_settings().shared_key.get_secret_value() == "Banana"
    monkeypatch.setenv("MESH_SIM_SHARED_KEY", "Cherry")
    assert load_settings().shared_key.get_secret_value() == "Cherry"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MESH_SIM_PORT", "abc", "MESH_SIM_PORT = 'abc'"),
        ("MESH_SIM_PORT", "70000", "must be at most 65535"),
        ("MESH_SIM_TLS", "maybe", "'off', 'on' or 'mutual'"),
        ("MESH_SIM_CACHE_LIFETIME", "soon", "write it like 5d"),
        ("MESH_SIM_HEADER_TIME", "0s", "must be longer than nothing"),
        ("MESH_SIM_MAX_CONNECTIONS", "0", "must be at least 1"),
        ("MESH_SIM_OPT_OUT_RATE", "5.4", "must be at most 1"),
        ("MESH_SIM_ALLOW", "token-reuse,everything", "'missing-chunks'"),
        ("MESH_SIM_NHS_NUMBER_RULE", "none", "'checksum' or 'digits'"),
        ("MESH_SIM_PROT", "1", "did you mean MESH_SIM_PORT?"),
        ("MESH_SIM_WHATEVER_ELSE_THERE_IS", "1", "the settings are MESH_SIM_ADMIN_TOKEN"),
    ],
)
def test_a_bad_value_names_key_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    """The message is enough to put the setting right."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert expected in str(raised.value)


def test_a_bad_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a token never gets into a message."""
    monkeypatch.setenv("MESH_SIM_ADMIN_TOKEN", "short")
    with pytest.raises(SettingsError, match=r"MESH_SIM_ADMIN_TOKEN = \(hidden\)"):
        load_settings()


@pytest.mark.parametrize("text", ["port = ", "prot = 1"], ids=["not TOML", "not a setting"])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    """A file that is not TOML, or has a key that is no setting, stops the start."""
    (tmp_path / "mesh-sim.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"mesh-sim.toml|PROT"):
        load_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.invalid"])
def test_a_server_beyond_loopback_needs_a_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Without a token for the control API a server listens on loopback only; other commands do not care."""
    settings = load_settings(host=host)
    with pytest.raises(SettingsError, match="set MESH_SIM_ADMIN_TOKEN"):
        refuse_open_control(settings)
    monkeypatch.setenv("MESH_SIM_ADMIN_TOKEN", "long enough")
    refuse_open_control(load_settings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    """Whoever is on this machine may control the simulator, unless a token is set."""
    refuse_open_control(load_settings(host=host))


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    """The page of settings names each variable there is."""
    assert f"`MESH_SIM_{name.upper()}`" in DOCS.read_text("utf-8")


# -- mailboxes and workflows --------------------------------------------------------------------------


def test_the_built_in_participants() -> None:
    """The sandbox's mailboxes, the service and the example practice are there without any file."""
    directory = load_directory(Settings())
    assert {box.mailbox_id for box in directory.mailboxes} == {
        "X26ABC1", "X26ABC2", "X26ABC3", "X26HC065", "X99GP001"
    }  # fmt: skip
    assert [box.mailbox_id for box in directory.receivers("SPINE_NTT_UPHOLDING")] == ["X26HC065"]


def test_a_file_in_the_sandbox_s_format(tmp_path: Path) -> None:
    """Blank lines and unknown keys are passed over, ids are upper-cased, the later duplicate wins."""
    mailboxes = tmp_path / "mailboxes.jsonl"
    mailboxes.write_text(
        '{"mailbox_id": "x1", "mailbox_name": "first", "surplus": 1}\n\n'
        '{"mailbox_id": "X1", "mailbox_name": "second", "active": false, "ods_code": null}\n'
    )
    directory = load_directory(Settings(mailboxes=mailboxes, ndoo_mailbox="X1"))
    (mailbox,) = directory.mailboxes
    assert (mailbox.mailbox_name, mailbox.active, mailbox.ods_code) == ("second", False, "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: each line must be one JSON object"),
        ('{"mailbox_id": "A"}', "line 1: 'mailbox_name' is missing"),
        ('{"mailbox_id": 5, "mailbox_name": "n"}', "line 1: 'mailbox_id' is missing or not text"),
        ('{"mailbox_id": "A", "mailbox_name": "n", "password": 5}', "line 1: 'password' must be text"),
        ('{"mailbox_id": "A", "mailbox_name": "n"}', "MESH_SIM_NDOO_MAILBOX = 'B'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, expected: str) -> None:
    """The file, the line and what is wrong with it are in the message."""
    mailboxes = tmp_path / "mailboxes.jsonl"
    mailboxes.write_text(line)
    with pytest.raises(SettingsError) as raised:
        load_directory(Settings(mailboxes=mailboxes, ndoo_mailbox="B"))
    assert expected in str(raised.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A missing or unreadable file stops the start with its name."""
    workflows = tmp_path / "workflows.jsonl"
    if content is not None:
        workflows.write_bytes(content)
    with pytest.raises(SettingsError, match=r"workflows\.jsonl: cannot be read"):
        load_directory(Settings(workflows=workflows))


def test_a_workflow_s_mailboxes_must_be_a_list(tmp_path: Path) -> None:
    """A bare text where a list belongs is refused, not taken apart into letters."""
    workflows = tmp_path / "workflows.jsonl"
    workflows.write_text('{"workflow_id": "W", "senders": "X26ABC1"}')
    with pytest.raises(SettingsError, match="'senders' must be a list"):
        load_directory(Settings(workflows=workflows))
