"""Settings: environment first, then ``mesh-sim.toml``, then the default (design.md, "Settings")."""

from __future__ import annotations

import difflib
import ipaddress
import logging
import os
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mesh_sim.durations import Duration, RealDuration, format_duration
from mesh_sim.sandbox_environment import read_sandbox_environment
from mesh_sim.wishes.base import in_words, nearest
from mesh_sim.witness.journal import LONGEST, MOST_ENTRIES
from ndoo.lists import NumberRule
from ndoo.protocol import MAX_REQUEST_BYTES

log = logging.getLogger("mesh_sim")

CONFIG_FILE = "mesh-sim.toml"
PREFIX = "MESH_SIM_"


class SettingsError(Exception):
    """A setting that stops the start; the text names the key, the value and what is allowed."""


class Tls(StrEnum):
    """How connections are secured."""

    OFF = "off"
    ON = "on"
    MUTUAL = "mutual"


class AuthMode(StrEnum):
    """How much of an authorization token is checked (mesh-api.md section 5)."""

    FULL = "full"
    CANNED = "canned"
    NONE = "none"


class StoreMode(StrEnum):
    """Where messages are, and which are there at the start (mesh-api.md section 19)."""

    FILE = "file"
    MEMORY = "memory"
    CANNED = "canned"


class Relaxation(StrEnum):
    """Rules of the live service that a tester may switch off."""

    TOKEN_REUSE = "token-reuse"  # noqa: S105 - a setting's name, not a secret
    STALE_TIMESTAMP = "stale-timestamp"
    MISSING_CHUNKS = "missing-chunks"
    OVERSIZE = "oversize"
    REDOWNLOAD = "redownload"


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """Everything that can be set, parsed once at the start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a traceback would show a secret that is too short
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8700, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    data: Path = Field(
        Path("mesh-sim-data"),
        validation_alias=AliasChoices("MESH_SIM_DATA", "MAILBOXES_DATA_DIR", "FILE_STORE_DIR", "data"),
        description="folder for the database and large bodies",
    )
    store_mode: StoreMode = Field(
        StoreMode.FILE,
        description="file: the data folder; memory: a folder that goes when the server stops; canned: the "
        "same, with three messages in it",
    )
    shared_key: SecretStr = Field(
        SecretStr("TestKey"),
        min_length=1,
        validation_alias=AliasChoices("MESH_SIM_SHARED_KEY", "SHARED_KEY", "shared_key"),
        description="the environment's shared key, part of every authorization token",
    )
    auth_mode: AuthMode = Field(
        AuthMode.FULL,
        description="full: the whole token is checked; canned: its mailbox and the nonce VALID; none",
    )
    tls: Tls = Field(Tls.OFF, description="off, on, or mutual (client certificates demanded)")
    certs: Path = Field(Path("certs"), description="folder that mesh-sim certs filled")
    make_certs: bool = Field(False, description="make certificates that are missing at the start")
    tls_cert: Path | None = Field(None, description="the server's certificate, instead of the one in certs")
    tls_key: Path | None = Field(None, description="its private key")
    admin_token: SecretStr | None = Field(None, min_length=8, description="token of the control API")
    mailboxes: Path | None = Field(None, description="JSONL of mailboxes instead of the built-in ones")
    workflows: Path | None = Field(None, description="JSONL of workflows instead of the built-in ones")
    scenario: Path | None = Field(None, description="TOML file of mailboxes, opt-outs, messages and faults")
    inbox_expiry: Duration = Field(
        timedelta(days=5), description="an uncollected message's time in the inbox"
    )
    deletion: Duration = Field(timedelta(days=30), description="from a message's delivery to its deletion")
    ndoo_mailbox: str = Field("X26HC065", description="mailbox of the opt-out service")
    ndoo_reply_delay: Duration = Field(timedelta(), description="simulated time until a list is answered")
    opt_out_rate: float = Field(0.054, ge=0, le=1, description="synthetic share of numbers opted out")
    opt_out_seed: int = Field(1, ge=0, lt=2**63, description="seed of the synthetic opt-outs")
    nhs_number_rule: NumberRule = Field(NumberRule.CHECKSUM, description="what a valid NHS number is")
    cache_lifetime: Duration = Field(timedelta(days=21), description="lifetime of a temporary-cache file")
    allow: Annotated[frozenset[Relaxation], NoDecode, BeforeValidator(_names)] = Field(
        frozenset(), description="rules of the live service to relax, separated by commas"
    )
    max_request_bytes: int = Field(MAX_REQUEST_BYTES, ge=1, description="longest body of one MESH request")
    max_list_bytes: int = Field(10**9, ge=1, description="longest list of opt-outs loaded in one request")
    max_header_bytes: int = Field(
        65_536, ge=1024, description="longest line of a request's header, and of what has come of one in all"
    )
    max_headers: int = Field(128, ge=16, description="most lines in a request's header")
    max_connections: int = Field(10_000, ge=1, description="most open connections")
    max_in_flight: int = Field(1000, ge=1, description="most MESH requests being worked on")
    max_inbox: int = Field(5_000_000, ge=1, description="most messages waiting in an inbox")
    header_time: RealDuration = Field(
        timedelta(seconds=30), description="time to finish a TLS handshake, and to send a request's header"
    )
    stall_time: RealDuration = Field(
        timedelta(minutes=1), description="how long a body may stand still, either way"
    )
    min_rate: int = Field(10_000, ge=0, description="bytes a second that a body must come at; 0: any")
    idle_time: RealDuration = Field(
        timedelta(minutes=5), description="how long a connection without a request is kept"
    )
    journal_entries: int = Field(MOST_ENTRIES, ge=1, description="most requests kept in the journal")
    journal_time: RealDuration = Field(
        LONGEST, description="how long requests are kept in the journal, in real time"
    )
    env: str = Field("local", validation_alias=AliasChoices("MESH_SIM_ENV", "ENV", "env"))
    build_label: str = Field(
        "latest", validation_alias=AliasChoices("MESH_SIM_BUILD_LABEL", "BUILD_LABEL", "build_label")
    )

    @model_validator(mode="after")
    def _whole_pair(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("MESH_SIM_TLS_CERT and MESH_SIM_TLS_KEY belong together: set both or neither")
        return self

    @model_validator(mode="after")
    def _expire_before_deletion(self) -> Settings:
        if self.deletion < self.inbox_expiry:
            raise ValueError(
                f"MESH_SIM_DELETION (or MESSAGE_EXPIRY_DAYS) = {format_duration(self.deletion)}: must not be "
                "shorter than MESH_SIM_INBOX_EXPIRY (or INBOX_EXPIRY_DAYS), which is "
                f"{format_duration(self.inbox_expiry)}"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take options first, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(CONFIG_FILE))


def load_settings(**options: Any) -> Settings:
    """Read the settings; ``options`` (those of the command line) win, None meaning "not given".

    Variables of the sandbox come after ours of the same meaning, and before the file.

    Raises:
        SettingsError: a value is not allowed, or a variable looks like a setting and is none.
    """
    _refuse_unknown_variables()
    try:
        sandbox = read_sandbox_environment(os.environ)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    for warning in sandbox.warnings:
        log.warning(warning)
    own = {name.upper() for name, value in os.environ.items() if value}
    given = {name: value for name, value in sandbox.values.items() if PREFIX + name.upper() not in own}
    given |= {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
        left = {
            name: value for name, value in sandbox.defaults.items() if name not in settings.model_fields_set
        }
        return Settings(**given, **left) if left else settings
    except ValidationError as error:
        raise SettingsError("\n".join(_explained(error))) from error
    except ValueError as error:  # a TOML file that cannot be parsed
        raise SettingsError(f"{CONFIG_FILE}: {error}") from error


def refuse_open_control(settings: Settings) -> None:
    """Stop a server whose control API anybody on the network could use.

    Raises:
        SettingsError: it would listen beyond loopback without a token.
    """
    if settings.admin_token is None and not is_loopback(settings.host):
        raise SettingsError(
            f"host {settings.host!r} is reachable from other machines, so the control API needs a token: "
            "set MESH_SIM_ADMIN_TOKEN, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or address, is this machine as only it can be reached from itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _variables() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields}


def _refuse_unknown_variables() -> None:
    known = _variables()
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            plain = [variable.removeprefix(PREFIX) for variable in known]
            near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), plain, n=1)
            hint = (
                f"; did you mean {PREFIX}{near[0]}?"
                if near
                else f"; the settings are {', '.join(sorted(known))}"
            )
            raise SettingsError(f"{name} is set in the environment but is not a setting{hint}")


def _explained(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        # A field with aliases is reported under the alias that was used, or its first.
        key = str(item["loc"][0]) if item["loc"] else ""
        name = key.lower().removeprefix(PREFIX.lower())
        if not key:
            lines.append(item["msg"].removeprefix("Value error, "))
            continue
        if item["type"] == "extra_forbidden":  # options and variables are looked at before
            hint = nearest(key, tuple(Settings.model_fields))
            lines.append(f"{CONFIG_FILE}: {key} is not a setting; {hint}")
            continue
        value = "(hidden)" if name in ("shared_key", "admin_token") else repr(item["input"])
        variable = key if key.isupper() else PREFIX + name.upper()
        lines.append(f"{variable} = {value}: {in_words(item)}")
    return lines
