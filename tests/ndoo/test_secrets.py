"""Password and shared key in the system's keyring: kept, found again, and what is said where that fails."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import keyring_kinds
import pytest

from ndoo._secrets import NoKeyring, keep_secrets, read_secrets
from ndoo.config import load_settings
from ndoo.errors import ConfigError

SECRETS = {"password": "hush-password", "shared_key": "hush-key"}
URL = "http://127.0.0.1:8700"


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Set variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keyring of the test's own, an empty folder to work in, and a data folder."""
    use(monkeypatch, keyring_kinds.in_folder(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "data"


def write(text: str) -> None:
    """Write ``ndoo.toml`` in the current folder."""
    path = Path("ndoo.toml")
    path.write_text(text)
    path.chmod(0o600)


@pytest.mark.usefixtures("keyring")
def test_what_is_kept_is_found_for_that_mailbox_and_address_only() -> None:
    """A secret of one mailbox, or of one environment, is never taken for another's."""
    assert "Plaintext" in keep_secrets(SECRETS, URL, "X26ABC1")
    assert read_secrets(SECRETS, URL, "X26ABC1") == SECRETS
    assert read_secrets(SECRETS, URL, "X26ABC2") == {}
    assert read_secrets(SECRETS, "https://other.example", "X26ABC1") == {}
    keep_secrets({"password": "another"}, URL, "X26ABC1")
    assert read_secrets(SECRETS, URL, "X26ABC1") == SECRETS | {"password": "another"}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (keyring_kinds.NONE, "no keyring can be used here"),
        ({"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}, "no keyring can be used here"),
        ({"PYTHON_KEYRING_BACKEND": "no.such.Keyring"}, "cannot be loaded"),
        (keyring_kinds.LOCKED, "KeyringLocked"),
    ],
)
def test_a_keyring_that_cannot_be_used_is_told(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and keeping both say why not and what to do instead, and repeat nothing of the secrets."""
    use(monkeypatch, variables)
    for act in (lambda: read_secrets(SECRETS, URL, "X26ABC1"), lambda: keep_secrets(SECRETS, URL, "X26ABC1")):
        with pytest.raises(NoKeyring, match=says) as caught:
            act()
        assert "ndoo init --secrets file" in str(caught.value)
        assert "hush" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a keyring")
async def test_a_plain_text_file_is_no_keyring_unless_somebody_chose_it(tmp_path: Path) -> None:
    """The stand-ins other packages bring along are not taken for a keyring on a computer that has none."""
    program = "from ndoo._secrets import keep_secrets; keep_secrets({'password': 'a'}, 'http://x', 'X26ABC1')"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        stderr=asyncio.subprocess.PIPE,
    )
    assert b"no keyring can be used here" in (await process.communicate())[1]


@pytest.mark.usefixtures("keyring")
def test_settings_take_secrets_from_the_keyring_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment before file before keyring before what the profile brings, each secret for itself."""
    keep_secrets(SECRETS, URL, "X26ABC1")
    write('mailbox = "x26abc1"\nsecrets = "keyring"\n')
    settings = load_settings()
    assert settings.password.get_secret_value() == "hush-password"
    assert settings.shared_key.get_secret_value() == "hush-key"
    write('mailbox = "X26ABC1"\nsecrets = "keyring"\npassword = "of the file"\n')
    monkeypatch.setenv("NDOO_SHARED_KEY", "of the environment")
    settings = load_settings()
    assert settings.password.get_secret_value() == "of the file"
    assert settings.shared_key.get_secret_value() == "of the environment"


@pytest.mark.usefixtures("keyring")
def test_a_secret_the_keyring_does_not_hold_is_missed() -> None:
    """The refusal names it, whose it is, and how to keep it there; nothing else is taken in its place."""
    keep_secrets({"password": "hush-password"}, URL, "X26ABC1")
    write('mailbox = "X26ABC1"\nsecrets = "keyring"\n')
    with pytest.raises(
        ConfigError, match=r"no shared key of mailbox X26ABC1 at .*'ndoo init'.*NDOO_SHARED_KEY"
    ):
        load_settings()


def test_secrets_in_the_environment_leave_the_keyring_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A scheduled job that gets both from its environment needs no keyring, not even an unlocked one."""
    monkeypatch.chdir(tmp_path)
    use(monkeypatch, keyring_kinds.LOCKED)
    write('secrets = "keyring"\n')
    monkeypatch.setenv("NDOO_PASSWORD", "a")
    with pytest.raises(ConfigError, match="KeyringLocked"):
        load_settings()
    monkeypatch.setenv("NDOO_SHARED_KEY", "b")
    assert load_settings().password.get_secret_value() == "a"


async def test_the_keyring_is_loaded_when_it_is_asked_only(tmp_path: Path) -> None:
    """Start-up does not wait for a package that most runs do without."""
    program = "import sys, ndoo.config as c; c.load_settings(); print('keyring' in sys.modules)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0].strip() == b"False"
