"""Reads who takes part from JSON Lines files in the sandbox's format (mesh-api.md section 19).

What the sandbox loads is loaded: keys that are not known are passed over, null counts as not said, and of
two records with one id the later counts.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from mesh_sim.config import Settings, SettingsError
from mesh_sim.exchange.directory import ANYONE, Directory, Mailbox, Workflow


def load_directory(settings: Settings) -> Directory:
    """Read the mailboxes and workflows that the settings name, or the built-in ones.

    The opt-out service's own mailbox takes part even if it is not in the file, as it is in none that was
    written for the sandbox; then nobody knows its password.

    Raises:
        SettingsError: a file cannot be read, a line is not right, or the opt-out service has no mailbox.
    """
    mailboxes = _mailboxes(settings.mailboxes)
    known = {mailbox.mailbox_id for mailbox in mailboxes}
    if settings.ndoo_mailbox not in known and "ndoo_mailbox" not in settings.model_fields_set:
        service = next(box for box in _mailboxes(None) if box.mailbox_id == settings.ndoo_mailbox)
        mailboxes.append(replace(service, password=secrets.token_urlsafe()))
    workflows = [_workflow(*line) for line in _lines(settings.workflows, "workflows.jsonl")]
    directory = Directory(mailboxes, workflows)
    if directory.mailbox(settings.ndoo_mailbox) is None:
        raise SettingsError(
            f"MESH_SIM_NDOO_MAILBOX = {settings.ndoo_mailbox!r}: there is no such mailbox; add it to "
            f"{settings.mailboxes or 'the mailboxes'}, or name another"
        )
    return directory


def _mailboxes(path: Path | None) -> list[Mailbox]:
    return [_mailbox(*line) for line in _lines(path, "mailboxes.jsonl")]


def _lines(path: Path | None, builtin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each line's place, for messages, and its object; blank lines are skipped."""
    source = path or resources.files("mesh_sim") / "builtin" / builtin
    try:
        text = source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source}: cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):  # other line breaks may stand in JSON's texts
        if not line.strip():
            continue
        place = f"{source}, line {number}"
        try:
            record = json.loads(line)
            # Half a character, written as an escape, would break the answers it gets into.
            json.dumps(record, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{place}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise SettingsError(f"{place}: each line must be one JSON object")
        yield place, record


def _required(place: str, record: dict[str, Any], key: str, *, blank: bool = False) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not (blank or value.strip()):
        raise SettingsError(f"{place}: {key!r} is missing or not text")
    return value.strip()


def _mailbox(place: str, record: dict[str, Any]) -> Mailbox:
    def text(key: str) -> str:
        value = record.get(key)
        if value is not None and not isinstance(value, str):
            raise SettingsError(f"{place}: {key!r} must be text")
        return value or ""

    active = record.get("active")
    if active not in (True, False, None):
        raise SettingsError(f"{place}: 'active' must be true or false")
    return Mailbox(
        mailbox_id=_required(place, record, "mailbox_id").upper(),
        mailbox_name=_required(place, record, "mailbox_name", blank=True),
        password=text("password"),
        billing_entity=text("billing_entity"),
        ods_code=text("ods_code"),
        org_code=text("org_code"),
        org_name=text("org_name"),
        active=active is None or bool(active),
    )


def _workflow(place: str, record: dict[str, Any]) -> Workflow:
    def ids(key: str) -> tuple[str, ...]:
        value = record.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str | None) for item in value):
            raise SettingsError(f"{place}: {key!r} must be a list of mailbox ids")
        return tuple(item.strip().upper() for item in value if item and item.strip())

    # The sandbox looks at no senders, so its files often name none: that is no reason to refuse everybody.
    senders = frozenset(ids("senders")) or frozenset({ANYONE})
    return Workflow(_required(place, record, "workflow_id"), senders, ids("receivers"))
