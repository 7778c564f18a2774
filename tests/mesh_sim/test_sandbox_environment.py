"""The sandbox's environment variables: what each of them becomes, and what wins over it."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.config import AuthMode, Relaxation, SettingsError, StoreMode, Tls, load_settings
from mesh_sim.sandbox_environment import VARIABLES, read_sandbox_environment

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mesh-sim.toml, and no variable of the sandbox, but the test's own."""
    monkeypatch.chdir(tmp_path)
    for variable in (*VARIABLES, "FILE_STORE_DIR"):
        monkeypatch.delenv(variable, raising=False)


# -- the translation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "values"),
    [
        ({}, {}),
        ({"PORT": "8080"}, {"port": 8080}),
        ({"PORT": "0"}, {"port": 0}),
        ({"STORE_MODE": "memory"}, {"store_mode": "memory"}),
        ({"AUTH_MODE": "none"}, {"auth_mode": "none"}),
        ({"AUTH_MODE": "canned"}, {"auth_mode": "canned"}),
        ({"AUTH_MODE": "full"}, {"auth_mode": "full"}),
        ({"AUTH_MODE": "no_auth"}, {"auth_mode": "full"}),
        ({"INBOX_EXPIRY_DAYS": "7"}, {"inbox_expiry": timedelta(days=7)}),
        ({"MESSAGE_EXPIRY_DAYS": "60"}, {"deletion": timedelta(days=60)}),
        ({"SSL": "no"}, {"tls": "off"}),
        ({"SSL": "yes"}, {"tls": "on", "make_certs": True}),
        (
            {"SSL": "YES", "SSL_CRTFILE": "c.pem", "SSL_KEYFILE": "k.pem"},
            {"tls": "on", "make_certs": True, "tls_cert": Path("c.pem"), "tls_key": Path("k.pem")},
        ),
        ({"SSL_CRTFILE": "c.pem", "SSL_KEYFILE": "k.pem"}, {}),
        (dict.fromkeys(VARIABLES, ""), {}),
        ({"SHARED_KEY": "Banana", "PATH": "/bin"}, {}),
    ],
)
def test_a_variable_becomes_a_setting(environment: dict[str, str], values: dict[str, Any]) -> None:
    """Each variable has its meaning; an empty one, and one of somebody else, has none."""
    assert read_sandbox_environment(environment).values == values


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, None),
        ({"INBOX_EXPIRY_DAYS": "5"}, None),
        ({"AUTH_MODE": "full"}, 80),
        ({"STORE_MODE": "file"}, 80),
        ({"SSL": "no"}, 80),
        ({"SSL": "yes"}, 443),
        ({"SSL": "yes", "PORT": "8443"}, None),
    ],
)
def test_the_sandbox_s_port_goes_with_its_other_variables(
    environment: dict[str, str], port: int | None
) -> None:
    """Who set up a sandbox and named no port expects the sandbox's own."""
    assert read_sandbox_environment(environment).defaults == ({} if port is None else {"port": port})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STORE_MODE": "disk"}, "STORE_MODE = 'disk': must be file, memory or canned"),
        ({"STORE_MODE": "Memory"}, "STORE_MODE = 'Memory'"),
        ({"SSL": "true"}, "SSL = 'true': must be yes or no"),
        ({"PORT": "http"}, "PORT = 'http': must be a port number from 0 to 65535"),
        ({"PORT": "65536"}, "PORT = '65536'"),
        ({"PORT": "-1"}, "PORT = '-1'"),
        ({"INBOX_EXPIRY_DAYS": "5d"}, "INBOX_EXPIRY_DAYS = '5d': must be a whole number of days"),
        ({"MESSAGE_EXPIRY_DAYS": "36526"}, "MESSAGE_EXPIRY_DAYS = '36526'"),
        ({"MESSAGE_EXPIRY_DAYS": "٣"}, "MESSAGE_EXPIRY_DAYS = '٣'"),
        ({"SSL": "yes", "SSL_CRTFILE": "c.pem"}, "set both or neither"),
    ],
)
def test_a_bad_value_names_variable_value_and_what_is_allowed(
    environment: dict[str, str], expected: str
) -> None:
    """The message is enough to put the variable right."""
    with pytest.raises(ValueError, match=r".") as raised:
        read_sandbox_environment(environment)
    assert expected in str(raised.value)


def test_an_unknown_authorization_mode_is_full_with_a_warning() -> None:
    """The sandbox checks whole tokens in any mode that it does not know, its default included."""
    for mode in ("no_auth", "None", "off"):
        (warning,) = read_sandbox_environment({"AUTH_MODE": mode}).warnings
        assert mode in warning
    assert read_sandbox_environment({"AUTH_MODE": "full"}).warnings == ()


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text()))
def test_any_environment_is_read_or_refused(environment: dict[str, str]) -> None:
    """No value breaks the reader in any other way than by being refused."""
    try:
        found = read_sandbox_environment(environment)
    except ValueError as error:
        assert any(variable in str(error) for variable in VARIABLES)  # noqa: PT017 - the text is what counts
    else:
        assert set(found.values) <= {
            "port", "store_mode", "auth_mode", "inbox_expiry", "deletion", "tls", "make_certs", "tls_cert",
            "tls_key",
        }  # fmt: skip


@pytest.mark.parametrize("name", [*VARIABLES, "FILE_STORE_DIR", *Relaxation])
def test_the_page_for_those_who_come_from_the_sandbox_has_it_all(name: str) -> None:
    """Each variable is on the page, and so is each rule that can be relaxed."""
    assert f"`{name}`" in PAGE.read_text("utf-8")


# -- among the other settings -----------------------------------------------------------------------


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Set variables of the environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_an_environment_of_the_sandbox_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the sandbox's variables say is in the settings."""
    set_all(
        monkeypatch,
        ENV="ci",
        BUILD_LABEL="v9",
        SHARED_KEY="Banana",
        AUTH_MODE="canned",
        STORE_MODE="memory",
        FILE_STORE_DIR="store",
        INBOX_EXPIRY_DAYS="7",
        MESSAGE_EXPIRY_DAYS="60",
        SSL="yes",
    )
    settings = load_settings()
    assert (settings.env, settings.build_label) == ("ci", "v9")
    assert settings.shared_key.get_secret_value() == "Banana"
    assert (settings.auth_mode, settings.store_mode) == (AuthMode.CANNED, StoreMode.MEMORY)
    assert settings.data == Path("store")
    assert (settings.inbox_expiry, settings.deletion) == (timedelta(days=7), timedelta(days=60))
    assert (settings.tls, settings.make_certs, settings.port) == (Tls.ON, True, 443)
    assert settings.host == "127.0.0.1"


def test_our_own_names_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that begins with MESH_SIM_ wins, in capitals or not; an empty one does not."""
    set_all(monkeypatch, AUTH_MODE="none", STORE_MODE="memory", PORT="80", SSL="yes", FILE_STORE_DIR="store")
    set_all(monkeypatch, MESH_SIM_AUTH_MODE="full", mesh_sim_store_mode="file", MESH_SIM_PORT="8701")
    set_all(monkeypatch, MESH_SIM_TLS="", MESH_SIM_DATA="data")
    settings = load_settings()
    assert (settings.auth_mode, settings.store_mode, settings.port) == (AuthMode.FULL, StoreMode.FILE, 8701)
    assert (settings.tls, settings.data) == (Tls.ON, Path("data"))


def test_mailboxes_data_dir_wins_over_file_store_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the sandbox's two names for the folder, the first counts."""
    set_all(monkeypatch, MAILBOXES_DATA_DIR="first", FILE_STORE_DIR="second")
    assert load_settings().data == Path("first")


def test_the_environment_wins_over_the_file_and_an_option_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox's variables stand where ours do, but its own port behind everything."""
    (tmp_path / "mesh-sim.toml").write_text('port = 8801\nauth_mode = "none"\n')
    set_all(monkeypatch, AUTH_MODE="canned")
    settings = load_settings()
    assert (settings.auth_mode, settings.port) == (AuthMode.CANNED, 8801)
    assert load_settings(port=8802).port == 8802
    set_all(monkeypatch, PORT="8803")
    assert load_settings().port == 8803
    (tmp_path / "mesh-sim.toml").write_text("")
    monkeypatch.delenv("PORT")
    assert load_settings().port == 80


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"STORE_MODE": "disk"}, "STORE_MODE = 'disk'"),
        ({"MESH_SIM_STORE_MODE": "disk"}, "MESH_SIM_STORE_MODE = 'disk': must be 'file', 'memory'"),
        (
            {"MESH_SIM_AUTH_MODE": "no_auth"},
            "MESH_SIM_AUTH_MODE = 'no_auth': must be 'full', 'canned'",
        ),
        ({"MESSAGE_EXPIRY_DAYS": "4"}, "(or MESSAGE_EXPIRY_DAYS) = 4d: must not be shorter"),
        ({"MESH_SIM_INBOX_EXPIRY": "31d"}, "which is 31d"),
        ({"MESH_SIM_TLS_CERT": "c.pem"}, "set both or neither"),
    ],
)
def test_a_bad_value_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    """Key, value and what is allowed are in the message, whichever name was used."""
    set_all(monkeypatch, **variables)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert expected in str(raised.value)


def test_what_may_surprise_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mode that does something else than it says is told of."""
    set_all(monkeypatch, AUTH_MODE="no_auth")
    with caplog.at_level(logging.WARNING, "mesh_sim"):
        load_settings()
    assert "no_auth" in caplog.text
