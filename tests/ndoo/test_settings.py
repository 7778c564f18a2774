"""Where settings come from, which source wins, and how a wrong one is reported."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo.config import CONFIG_FILE, Profile, Settings, load_settings
from ndoo.errors import ConfigError
from ndoo.mailbox import Credentials, Mailbox

REAL = {
    "MAILBOX": "A1OT001",
    "PASSWORD": "pass-phrase",
    "SHARED_KEY": "key-text",
    "CERT": "c.pem",
    "KEY": "k.pem",
}
"""What the profiles int and live cannot do without."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as a person without any setting; gives the folder."""
    for name in list(os.environ):
        if name.upper().startswith("NDOO_"):
            monkeypatch.delenv(name)
    for name, place in (("HOME", ""), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / "home" / place))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what int and live need."""
    for name, value in REAL.items():
        monkeypatch.setenv(f"NDOO_{name}", value)


def write_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Write ``ndoo.toml``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG_FILE
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refusal(profile: str | None = None) -> str:
    """Load the settings, insist that they are refused in one line, and give it."""
    with pytest.raises(ConfigError) as caught:
        load_settings(profile)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- profiles ---------------------------------------------------------------------------------------


def test_the_simulator_needs_no_setting(folder: Path) -> None:
    """Out of the box the command talks to a simulator on this machine, as its example practice."""
    settings = load_settings()
    assert (settings.profile, settings.url, settings.mailbox, settings.service_mailbox) == (
        Profile.SIM,
        "http://127.0.0.1:8700",
        "X99GP001",
        "X26HC065",
    )
    assert settings.password.get_secret_value() == "password"
    assert settings.shared_key.get_secret_value() == "TestKey"
    assert (settings.cert, settings.key, settings.ca) == (None, None, None)
    assert (settings.environment.poll_interval, settings.environment.cache_workflow) == (1.0, True)
    assert settings.journal.is_relative_to(folder.parent)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize(
    ("profile", "url", "service_mailbox"),
    [
        ("int", "https://msg.intspineservices.nhs.uk", "X26OT154"),
        ("live", "https://mesh-sync.spineservices.nhs.uk", "X26HC065"),
    ],
)
def test_the_real_ones_bring_their_address_and_patience(profile: str, url: str, service_mailbox: str) -> None:
    """Int and live know host and service mailbox, look every five minutes, and make caches locally."""
    settings = load_settings(profile)
    assert (settings.url, settings.service_mailbox) == (url, service_mailbox)
    assert (settings.environment.poll_interval, settings.environment.cache_workflow) == (300.0, False)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("profile", ["int", "live"])
@pytest.mark.parametrize("missing", REAL)
def test_what_a_real_one_lacks_is_named(profile: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly the missing setting is named, with its variable and its key in the file."""
    monkeypatch.delenv(f"NDOO_{missing}")
    said = refusal(profile)
    assert set(re.findall(r"NDOO_\w+", said)) == {f"NDOO_{missing}"}
    assert f"as {missing.lower()} in {CONFIG_FILE}" in said


@pytest.mark.usefixtures("real")
def test_a_real_one_is_never_reached_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients' numbers leave this machine encrypted, whatever address is set."""
    monkeypatch.setenv("NDOO_URL", "http://127.0.0.1:8700")
    assert "https://" in refusal("int")
    assert load_settings("sim").url == "http://127.0.0.1:8700"


def test_an_unknown_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says where the profile was given and which there are."""
    assert refusal("prod") == "--profile = 'prod': must be sim, int or live"
    monkeypatch.setenv("NDOO_PROFILE", "prod")
    assert refusal() == "NDOO_PROFILE = 'prod': must be sim, int or live"


# -- sources ----------------------------------------------------------------------------------------


def test_the_order_of_the_sources(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment before file before profile; the profile of the command line before all."""
    write_file(folder, 'mailbox = "X26ABC1"\nservice_mailbox = "X26ABC3"\nprofile = "live"\n')
    monkeypatch.setenv("NDOO_MAILBOX", "X26ABC2")
    settings = load_settings("sim")
    assert (settings.profile, settings.mailbox, settings.service_mailbox) == (
        Profile.SIM,
        "X26ABC2",
        "X26ABC3",
    )


def test_the_file_here_hides_the_one_at_home(folder: Path) -> None:
    """Only one file is read: that of the current folder, else that of the user's configuration folder."""
    write_file(folder.parent / "home/config/ndoo", 'mailbox = "X26ABC1"\nservice_mailbox = "X26ABC3"\n')
    assert load_settings().mailbox == "X26ABC1"
    write_file(folder, 'mailbox = "X26ABC2"\n')
    settings = load_settings()
    assert (settings.mailbox, settings.service_mailbox) == ("X26ABC2", "X26HC065")


def test_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """``NDOO_MAILBOX=`` does not unset the default."""
    monkeypatch.setenv("NDOO_MAILBOX", "")
    assert load_settings().mailbox == "X99GP001"


def test_paths_in_the_file_are_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate named in the file at home is found from any folder; ~ is the home folder."""
    home = folder.parent / "home"
    write_file(home / "config/ndoo", 'cert = "mine.pem"\nkey = "~/mine.key"\nca = "/etc/ca.pem"\n')
    monkeypatch.setenv("NDOO_DATA", "~/journal")
    settings = load_settings()
    assert settings.cert == home / "config/ndoo/mine.pem"
    assert (settings.key, settings.ca) == (home / "mine.key", Path("/etc/ca.pem"))
    assert settings.journal == home / "journal/journal.db"


@pytest.mark.parametrize("ending", ["", "/", "/messageexchange", "/messageexchange/"])
def test_names_are_written_in_one_way(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is found again by mailbox and address, so both are written as the mailbox writes them."""
    monkeypatch.setenv("NDOO_MAILBOX", " x26abc1 ")
    monkeypatch.setenv("NDOO_URL", f" http://localhost:8700{ending}")
    settings = load_settings()
    assert (settings.mailbox, settings.url) == ("X26ABC1", "http://localhost:8700")
    mailbox = Mailbox(f" http://localhost:8700{ending}", Credentials(" x26abc1 ", "password", "key"))
    assert (mailbox.mailbox_id, mailbox._transport.url) == (settings.mailbox, settings.url)


# -- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["password", "shared_key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_with_a_secret_must_be_private(folder: Path, secret: str, mode: int) -> None:
    """A secret others may read is refused, and the command that mends it given."""
    path = write_file(folder, f'{secret} = "hush-hush"\n', mode)
    said = refusal()
    assert f"chmod 600 {path.name}" in said
    assert secret in said
    assert "hush" not in said
    path.chmod(0o600)
    assert "hush-hush" in {
        load_settings().password.get_secret_value(),
        load_settings().shared_key.get_secret_value(),
    }


def test_a_file_without_secrets_may_be_shared(folder: Path) -> None:
    """A practice may keep the address in a file that everybody reads."""
    write_file(folder, 'url = "http://localhost:1"\n', 0o644)
    assert load_settings().url == "http://localhost:1"


@pytest.mark.parametrize("name", ["password", "shared_key"])
def test_secrets_are_never_shown(folder: Path, name: str) -> None:
    """Neither a refusal nor a repr shows a secret, even one of the wrong type."""
    write_file(folder, f"{name} = 918273645\n")
    said = refusal()
    assert said == f"{CONFIG_FILE}: {name} = (hidden): must be text, in quotation marks"
    write_file(folder, f'{name} = "hush-hush"\n')
    assert "hush" not in repr(load_settings())


def test_a_refused_secret_is_in_no_traceback(folder: Path) -> None:
    """The exception carries nothing along that would print the value."""
    write_file(folder, "password = 918273645\n")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_file_with_a_proxys_password_must_be_private(folder: Path) -> None:
    """A proxy without one may be in a file that everybody reads."""
    path = write_file(folder, 'proxy = "http://user:hush@proxy:3128"\n', 0o644)
    said = refusal()
    assert "chmod 600" in said
    assert "hush" not in said
    path.chmod(0o600)
    assert "hush" not in repr(load_settings())
    write_file(folder, 'proxy = "http://proxy:3128"\n', 0o644)
    assert load_settings().proxy is not None


def test_a_proxy_that_is_none_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variable and reason are named, and what stands before the @ is not."""
    monkeypatch.setenv("NDOO_PROXY", "socks5://user:hush@proxy:1080")
    said = refusal()
    assert said.startswith("NDOO_PROXY = 'socks5://***@proxy:1080': must be the address of an HTTP proxy")
    monkeypatch.setenv("NDOO_PROXY", "none")
    assert load_settings().proxy is not None


def test_a_place_for_secrets_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two there are are named."""
    monkeypatch.setenv("NDOO_SECRETS", "drawer")
    assert refusal() == "NDOO_SECRETS = 'drawer': must be file or keyring"


# -- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8700",
        "ftp://127.0.0.1",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://user@host",
        "http://host?query",
    ],
)
def test_an_address_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal has the variable, the value and what would do."""
    monkeypatch.setenv("NDOO_URL", url)
    assert refusal() == f"NDOO_URL = {url!r}: must be an address such as http://127.0.0.1:8700"


def test_a_misspelt_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that looks like a setting and is none stops the start, with the nearest name."""
    monkeypatch.setenv("NDOO_PASWORD", "hush-hush")
    said = refusal()
    assert said.endswith("did you mean NDOO_PASSWORD?")
    assert "hush" not in said


def test_a_misspelt_key(folder: Path) -> None:
    """So does a key of the file, with the file's name."""
    write_file(folder, 'mailbx = "X26ABC1"\n')
    assert refusal() == f"{CONFIG_FILE}: mailbx is not a setting; did you mean mailbox?"


def test_a_name_like_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no name is near, all are given."""
    monkeypatch.setenv("NDOO_QQQQQQQ", "1")
    said = refusal()
    assert all(f"NDOO_{name.upper()}" in said for name in Settings.model_fields)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"mailbox = \n", "is not TOML"),
        (b"mailbox = '\xff'\n", "is not UTF-8 text"),
        (b'mailbox = ""\n', "empty"),
    ],
)
def test_a_file_that_cannot_be_used(folder: Path, content: bytes, reason: str) -> None:
    """A damaged file is named with what is wrong."""
    (folder / CONFIG_FILE).write_bytes(content)
    said = refusal()
    assert said.startswith(CONFIG_FILE)
    assert reason in said


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=40))
def test_any_password_survives_the_file(tmp_path_factory: pytest.TempPathFactory, password: str) -> None:
    """A password arrives as it was written, whatever characters are in it."""
    folder = tmp_path_factory.mktemp("settings")
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    write_file(folder, f'password = "{quoted}"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert load_settings().password.get_secret_value() == password
