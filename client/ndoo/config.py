"""Settings: ``NDOO_*`` variables first, then ``ndoo.toml``, the keyring, the profile's, the default.

One file is read: ``ndoo.toml`` in the current folder, or else the one in the user's configuration folder
(on Linux ``~/.config/ndoo``). See design.md, "Settings". Secrets come from either, or from the system's
keyring where ``secrets`` says so, never from the command line; a file that holds one must be readable by its
owner only.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from ndoo._proxy import mask, read_proxy
from ndoo._secrets import WORDS, read_secrets
from ndoo.errors import ConfigError
from ndoo.output import write_output
from ndoo.protocol import base_url

CONFIG_FILE: Final = "ndoo.toml"
PREFIX: Final = "NDOO_"
SECRETS: Final = frozenset({"password", "shared_key"})
"""Settings whose value is never shown, and whose file must be private."""

_PATHS: Final = frozenset({"cert", "key", "ca", "data"})


class Profile(StrEnum):
    """Which MESH is talked to."""

    SIM = "sim"
    INT = "int"
    LIVE = "live"


class SecretStore(StrEnum):
    """Where the password and the shared key are kept, unless the environment has them."""

    FILE = "file"
    KEYRING = "keyring"


@dataclass(frozen=True, slots=True)
class Environment:
    """What a profile fixes; no setting changes it.

    ``poll_interval`` and ``patience`` are seconds: between two looks into the inbox (mesh-api.md section
    2 allows one every five minutes), and how long ``ndoo check`` waits unless told otherwise (the service
    usually answers within 40 minutes). With ``cache_workflow`` the service itself makes temporary caches.
    """

    poll_interval: float
    patience: float
    cache_workflow: bool


_ENVIRONMENTS: Final = {
    Profile.SIM: Environment(poll_interval=1.0, patience=600.0, cache_workflow=True),
    Profile.INT: Environment(poll_interval=300.0, patience=3600.0, cache_workflow=False),
    Profile.LIVE: Environment(poll_interval=300.0, patience=3600.0, cache_workflow=False),
}

_DEFAULTS: Final[dict[Profile, dict[str, str]]] = {
    Profile.SIM: {
        "url": "http://127.0.0.1:8700",
        "mailbox": "X99GP001",
        "password": "password",
        "shared_key": "TestKey",
        "service_mailbox": "X26HC065",
    },
    # Hosts: mesh-api.md section 2; service mailboxes: ndoo-service.md, "The exchange".
    Profile.INT: {"url": "https://msg.intspineservices.nhs.uk", "service_mailbox": "X26OT154"},
    Profile.LIVE: {"url": "https://mesh-sync.spineservices.nhs.uk", "service_mailbox": "X26HC065"},
}

_REQUIRED: Final = ("mailbox", "password", "shared_key", "cert", "key")
"""What the real MESH cannot be reached without, and no profile can know."""


def _usable_proxy(address: SecretStr) -> SecretStr:
    if text := address.get_secret_value().strip():
        read_proxy(text)
    return address


_MailboxId = Annotated[str, Field(min_length=1), AfterValidator(lambda text: text.strip().upper())]
_Path = Annotated[Path, AfterValidator(Path.expanduser)]


class Settings(BaseSettings):
    """Everything that can be set, parsed once at the start; made by :func:`load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    profile: Profile = Field(Profile.SIM, description="which MESH: sim, int or live")
    url: Annotated[str, AfterValidator(base_url)] = Field(description="address of the MESH server")
    mailbox: _MailboxId = Field(description="your mailbox id")
    password: SecretStr = Field(min_length=1, description="the mailbox's password")
    shared_key: SecretStr = Field(min_length=1, description="the environment's shared key")
    cert: _Path | None = Field(None, description="PEM file of your client certificate")
    key: _Path | None = Field(None, description="PEM file of its private key")
    ca: _Path | None = Field(None, description="PEM file of the authorities to trust, not the system's")
    proxy: Annotated[SecretStr, AfterValidator(_usable_proxy)] | None = Field(
        None, description="address of an HTTP proxy, or none"
    )
    secrets: SecretStore = Field(
        SecretStore.FILE, description="where password and shared key are kept: file or keyring"
    )
    service_mailbox: _MailboxId = Field(description="mailbox of the opt-out service")
    data: _Path = Field(
        default_factory=lambda: platformdirs.user_data_path("ndoo"),
        description="folder of the journal of submitted lists",
    )

    @property
    def environment(self) -> Environment:
        """What the profile fixes."""
        return _ENVIRONMENTS[self.profile]

    @property
    def journal(self) -> Path:
        """The journal of lists submitted and not yet answered."""
        return self.data / "journal.db"

    @model_validator(mode="before")
    @classmethod
    def _nothing_missing(cls, values: dict[str, Any]) -> dict[str, Any]:
        profile = _profile_of(values)
        missing = [name for name in _REQUIRED if name not in values]
        if profile in (Profile.INT, Profile.LIVE) and missing:
            raise PydanticCustomError(
                "missing_settings",
                "profile {profile} needs {variables}: set them in the environment, or as {keys} in {file}; "
                "'ndoo init' asks for all that is needed",
                {
                    "profile": profile.value,
                    "variables": ", ".join(map(variable, missing)),
                    "keys": ", ".join(missing),
                    "file": CONFIG_FILE,
                },
            )
        return values

    @model_validator(mode="after")
    def _encrypted(self) -> Settings:
        if self.profile is not Profile.SIM and urlsplit(self.url).scheme != "https":
            raise PydanticCustomError(
                "plain_http", "NDOO_URL must begin with https:// unless the profile is sim"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; the first that has a setting wins."""
        path = config_path()
        from_file = InitSettingsSource(settings_cls, _read_file(path) if path else {})
        return (
            init_settings,
            env_settings,
            from_file,
            _KeyringSecrets(settings_cls),
            _ProfileDefaults(settings_cls),
        )


class _KeyringSecrets(PydanticBaseSettingsSource):
    """The secrets that neither environment nor file have, where the settings say that the keyring does."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        # Asked for by the base class; the whole mapping is given at once below.
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        state = self.current_state
        profile = _profile_of(state)
        wanted = [name for name in WORDS if name not in state]
        if state.get("secrets") != SecretStore.KEYRING or profile is None or not wanted:
            return {}
        given = _DEFAULTS[profile] | state
        mailbox = str(given.get("mailbox", "")).strip().upper()
        try:
            url = base_url(str(given["url"]))
        except ValueError:
            return {}  # the settings are refused for that, and the keyring is left alone
        if not mailbox:
            return {}  # the same
        found = read_secrets(wanted, url, mailbox)
        if missing := [name for name in wanted if name not in found]:
            raise ConfigError(
                f"the keyring holds no {' and no '.join(WORDS[name] for name in missing)} of mailbox "
                f"{mailbox} at "
                f"{url}; keep {'it' if len(missing) == 1 else 'them'} there with 'ndoo init', or set "
                f"{' and '.join(map(variable, missing))}"
            )
        return dict(found)


class _ProfileDefaults(PydanticBaseSettingsSource):
    """The last source: what the profile, as the sources before it have it, brings along."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        # Asked for by the base class; the whole mapping is given at once below.
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        profile = _profile_of(self.current_state)
        return dict(_DEFAULTS[profile]) if profile else {}


def load_settings(profile: str | None = None) -> Settings:
    """Read the settings; ``profile``, the command line's, wins over every other.

    Raises:
        ConfigError: a value is not allowed or is missing, a variable looks like a setting and is none,
            or the file cannot be read, is not TOML, or holds a secret that others may read.
    """
    _refuse_unknown_variables()
    options: dict[str, Any] = {} if profile is None else {"profile": profile}
    try:
        return Settings(**options)
    except ValidationError as error:
        # From None: what pydantic chains holds the values, secret ones too.
        raise ConfigError("; ".join(_explained(error, given=profile is not None))) from None


def config_path() -> Path | None:
    """Give the file that settings are read from, or None where there is none."""
    for path in (Path(CONFIG_FILE), platformdirs.user_config_path("ndoo") / CONFIG_FILE):
        if path.is_file():
            return path
    return None


def kept_settings(path: Path) -> dict[str, str]:
    """Give the texts that a settings file holds, to be offered again; a file that is no such thing has none.

    Paths are absolute, or relative to the current folder, wherever the file is.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return _placed({name: value for name, value in values.items() if isinstance(value, str)}, path)


def _placed(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Take the paths among a file's settings as beside the file, wherever the command is run."""
    return {
        name: str(path.parent / Path(value).expanduser())
        if name in _PATHS and isinstance(value, str)
        else value
        for name, value in values.items()
    }


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    readable_by_others = os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO)
    held = sorted(SECRETS & values.keys())
    if "@" in str(values.get("proxy")):
        held.append("a proxy's password")
    if readable_by_others and held:
        raise ConfigError(f"{path} holds {' and '.join(held)} but others may read it; run: chmod 600 {path}")
    return _placed(values, path)


def _profile_of(values: dict[str, Any]) -> Profile | None:
    """Give the profile among settings not yet validated; None where it is not one."""
    try:
        return Profile(values.get("profile", Profile.SIM))
    except ValueError:
        return None


def profile_defaults(profile: Profile) -> Mapping[str, str]:
    """Give the settings a profile brings along, by name."""
    return _DEFAULTS[profile]


def source_of(name: str, settings: Settings) -> str:
    """Say where a setting's value came from, for people."""
    if any(each.upper() == variable(name) and os.environ[each] for each in os.environ):
        return variable(name)
    path = config_path()
    if path is not None and name in _read_file(path):
        return str(path)
    if name in SECRETS and settings.secrets is SecretStore.KEYRING:
        return "the keyring"
    return f"profile {settings.profile}"


def write_settings(path: Path, values: Mapping[str, str], *, force: bool = False) -> None:
    """Write ``ndoo.toml``, readable by its owner only; it is there whole or not at all.

    Raises:
        OutputExists: ``path`` exists and ``force`` is not given.
        ConfigError: it cannot be written, or a value is not text.
    """
    lines = ["# Settings of ndoo, made by 'ndoo init'; 'ndoo doctor' tests them."]
    lines += [f"{name} = {toml_string(value)}" for name, value in values.items()]
    try:
        content = ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{path}: not written, for a value has characters that are not text") from None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path.parent}: cannot be made: {error.strerror}") from error
    with write_output(path, force) as file:
        file.write(content)


def toml_string(text: str) -> str:
    """Write a text as TOML's basic string, which is JSON's but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def variable(name: str) -> str:
    """Name the environment variable of a setting."""
    return PREFIX + name.upper()


def _refuse_unknown_variables() -> None:
    known = sorted(map(variable, Settings.model_fields))
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise ConfigError(
                f"{name} is set in the environment but is not a setting; {_nearest(name.upper(), known)}"
            )


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"


def _explained(error: ValidationError, *, given: bool) -> Iterator[str]:
    """Say what is wrong: where it is set, the value unless it is secret, and what is allowed."""
    for item in error.errors(include_url=False):
        if not item["loc"]:
            yield item["msg"]
            continue
        name = str(item["loc"][0])
        if item["type"] == "extra_forbidden":
            yield f"{config_path()}: {name} is not a setting; {_nearest(name, list(Settings.model_fields))}"
        elif item["type"] == "missing":
            # Only an unknown profile leaves these unset, and that is what is reported.
            continue
        else:
            shown = _shown(name, item["input"])
            place = "--profile" if given and name == "profile" else _place(name)
            yield f"{place} = {shown}: {_allowed(item)}"


def _shown(name: str, value: object) -> str:
    if name in SECRETS:
        return "(hidden)"
    return repr(mask(value)) if name == "proxy" and isinstance(value, str) else repr(value)


def _place(name: str) -> str:
    in_environment = any(each.upper() == variable(name) for each in os.environ)
    return variable(name) if in_environment else f"{config_path()}: {name}"


def _allowed(item: ErrorDetails) -> str:
    match item["type"]:
        case "enum":
            return f"must be {item['ctx']['expected'].replace(chr(39), '')}"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_type":
            return "must be text, in quotation marks"
        case _:
            return item["msg"].removeprefix("Value error, ")
