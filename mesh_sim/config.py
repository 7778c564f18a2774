"""Settings: environment first, then ``mesh-sim.toml``, then the default (design.md, "Settings")."""

from __future__ import annotations

import difflib
import ipaddress
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

from mesh_sim.durations import parse_duration
from ndoo.lists import NumberRule

CONFIG_FILE = "mesh-sim.toml"
PREFIX = "MESH_SIM_"


class SettingsError(Exception):
    """A setting that stops the start; the text names the key, the value and what is allowed."""


class Tls(StrEnum):
    """How connections are secured."""

    OFF = "off"
    ON = "on"
    MUTUAL = "mutual"


class Relaxation(StrEnum):
    """Rules of the live service that a tester may switch off."""

    TOKEN_REUSE = "token-reuse"  # noqa: S105 - a setting's name, not a secret
    STALE_TIMESTAMP = "stale-timestamp"
    MISSING_CHUNKS = "missing-chunks"
    OVERSIZE = "oversize"
    REDOWNLOAD = "redownload"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta())]


class Settings(BaseSettings):
    """Everything that can be set, parsed once at the start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8700, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    data: Path = Field(
        Path("mesh-sim-data"),
        validation_alias=AliasChoices("MESH_SIM_DATA", "MAILBOXES_DATA_DIR", "data"),
        description="folder for the database and large bodies",
    )
    shared_key: SecretStr = Field(
        SecretStr("TestKey"),
        min_length=1,
        validation_alias=AliasChoices("MESH_SIM_SHARED_KEY", "SHARED_KEY", "shared_key"),
        description="the environment's shared key, part of every authorization token",
    )
    tls: Tls = Field(Tls.OFF, description="off, on, or mutual (client certificates demanded)")
    certs: Path = Field(Path("certs"), description="folder that mesh-sim certs filled")
    admin_token: SecretStr | None = Field(None, min_length=8, description="token of the control API")
    mailboxes: Path | None = Field(None, description="JSONL of mailboxes instead of the built-in ones")
    workflows: Path | None = Field(None, description="JSONL of workflows instead of the built-in ones")
    inbox_expiry: Duration = Field(
        timedelta(days=5), description="an uncollected message's time in the inbox"
    )
    ndoo_mailbox: str = Field("X26HC065", description="mailbox of the opt-out service")
    ndoo_reply_delay: Duration = Field(timedelta(), description="simulated time until a list is answered")
    opt_out_rate: float = Field(0.054, ge=0, le=1, description="synthetic share of numbers opted out")
    opt_out_seed: int = Field(1, ge=0, lt=2**63, description="seed of the synthetic opt-outs")
    nhs_number_rule: NumberRule = Field(NumberRule.CHECKSUM, description="what a valid NHS number is")
    cache_lifetime: Duration = Field(timedelta(days=21), description="lifetime of a temporary-cache file")
    allow: Annotated[frozenset[Relaxation], NoDecode, BeforeValidator(_names)] = Field(
        frozenset(), description="rules of the live service to relax, separated by commas"
    )
    env: str = Field("local", validation_alias=AliasChoices("MESH_SIM_ENV", "ENV", "env"))
    build_label: str = Field(
        "latest", validation_alias=AliasChoices("MESH_SIM_BUILD_LABEL", "BUILD_LABEL", "build_label")
    )

    @model_validator(mode="after")
    def _closed_off_loopback(self) -> Settings:
        if self.admin_token is None and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} is reachable from other machines, so the control API needs a token: "
                "set MESH_SIM_ADMIN_TOKEN, or listen on 127.0.0.1"
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

    Raises:
        SettingsError: a value is not allowed, or a variable looks like a setting and is none.
    """
    _refuse_unknown_variables()
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(_explained(error))) from error
    except ValueError as error:  # a TOML file that cannot be parsed
        raise SettingsError(f"{CONFIG_FILE}: {error}") from error


def _is_loopback(host: str) -> bool:
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
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; the settings are {', '.join(sorted(known))}"
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
        value = "(hidden)" if name in ("shared_key", "admin_token") else repr(item["input"])
        variable = key if key.isupper() else PREFIX + name.upper()
        lines.append(f"{variable} = {value}: {item['msg'].removeprefix('Value error, ')}")
    return lines
