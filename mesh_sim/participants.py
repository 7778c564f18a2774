"""Reads who takes part from JSON Lines files in the sandbox's format (mesh-api.md section 19)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from mesh_sim.config import Settings, SettingsError
from mesh_sim.exchange.directory import Directory, Mailbox, Workflow


def load_directory(settings: Settings) -> Directory:
    """Read the mailboxes and workflows that the settings name, or the built-in ones.

    Raises:
        SettingsError: a file cannot be read, a line is not right, or the opt-out service has no mailbox.
    """
    mailboxes = [_mailbox(*line) for line in _lines(settings.mailboxes, "mailboxes.jsonl")]
    workflows = [_workflow(*line) for line in _lines(settings.workflows, "workflows.jsonl")]
    directory = Directory(mailboxes, workflows)
    if directory.mailbox(settings.ndoo_mailbox) is None:
        raise SettingsError(
            f"MESH_SIM_NDOO_MAILBOX = {settings.ndoo_mailbox!r}: there is no such mailbox; add it to "
            f"{settings.mailboxes or 'the mailboxes'}, or name another"
        )
    return directory


def _lines(path: Path | None, builtin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each line's place, for messages, and its object; blank lines are skipped."""
    source = path or resources.files("mesh_sim") / "builtin" / builtin
    try:
        text = source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source}: cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        place = f"{source}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise SettingsError(f"{place}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise SettingsError(f"{place}: each line must be one JSON object")
        yield place, record


def _required(place: str, record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{place}: {key!r} is missing or not text")
    return value.strip()


def _mailbox(place: str, record: dict[str, Any]) -> Mailbox:
    def text(key: str) -> str:
        value = record.get(key)
        if value is not None and not isinstance(value, str):
            raise SettingsError(f"{place}: {key!r} must be text")
        return value or ""

    return Mailbox(
        mailbox_id=_required(place, record, "mailbox_id").upper(),
        mailbox_name=_required(place, record, "mailbox_name"),
        password=text("password"),
        billing_entity=text("billing_entity"),
        ods_code=text("ods_code"),
        org_code=text("org_code"),
        org_name=text("org_name"),
        active=bool(record.get("active", True)),
    )


def _workflow(place: str, record: dict[str, Any]) -> Workflow:
    def ids(key: str) -> tuple[str, ...]:
        value = record.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{place}: {key!r} must be a list of mailbox ids")
        return tuple(item.strip().upper() for item in value)

    return Workflow(_required(place, record, "workflow_id"), frozenset(ids("senders")), ids("receivers"))
