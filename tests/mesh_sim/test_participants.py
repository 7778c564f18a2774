"""Section 19: files of mailboxes and workflows that were written for the sandbox load as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mesh_sim.config import Settings, SettingsError
from mesh_sim.exchange.directory import Directory
from mesh_sim.participants import load_directory


def load(folder: Path, mailboxes: list[Any], workflows: list[Any] = [], **settings: Any) -> Directory:  # noqa: B006 - never changed
    """Write both files, one record a line, and load them."""
    given = {}
    for name, records in (("mailboxes", mailboxes), ("workflows", workflows)):
        given[name] = folder / f"{name}.jsonl"
        given[name].write_text("".join(json.dumps(record) + "\n\n" for record in records))
    return load_directory(Settings(**given | settings))


def test_a_mailbox_of_the_sandbox(tmp_path: Path) -> None:
    """Keys that are not known are passed over, null is the default, and the later of two counts."""
    directory = load(
        tmp_path,
        [
            {"mailbox_id": "a1", "mailbox_name": "first", "password": "one"},
            {
                "mailbox_id": "A1",
                "mailbox_name": "",
                "billing_entity": None,
                "password": None,
                "active": None,
                "surplus": [1],
            },
            {"mailbox_id": "a2", "mailbox_name": "second", "active": False},
        ],
    )
    mailbox, other = directory.mailboxes[:2]
    assert (mailbox.mailbox_id, mailbox.mailbox_name, mailbox.password) == ("A1", "", "")
    assert (mailbox.billing_entity, mailbox.active, other.active) == ("", True, False)


def test_the_opt_out_service_takes_part_all_the_same(tmp_path: Path) -> None:
    """A file of the sandbox need not name our service's mailbox; nobody can then sign for it."""
    directory = load(tmp_path, [{"mailbox_id": "A1", "mailbox_name": "one"}])
    assert [box.mailbox_id for box in directory.mailboxes] == ["A1", "X26HC065"]
    service = directory.mailbox("X26HC065")
    assert service is not None
    assert len(service.password) > 20
    assert load(tmp_path, []).mailbox("X26HC065") != service


def test_a_service_that_is_in_the_file_is_as_it_is_there(tmp_path: Path) -> None:
    """Who puts the service's mailbox into the file chooses its password."""
    directory = load(tmp_path, [{"mailbox_id": "X26HC065", "mailbox_name": "mine", "password": "chosen"}])
    (service,) = directory.mailboxes
    assert (service.mailbox_name, service.password) == ("mine", "chosen")


def test_a_service_that_was_named_must_be_there(tmp_path: Path) -> None:
    """A mailbox that was chosen for the service is not made up."""
    with pytest.raises(SettingsError, match="MESH_SIM_NDOO_MAILBOX = 'X26HC065': there is no such mailbox"):
        load(tmp_path, [], ndoo_mailbox="X26HC065")


def test_a_workflow_of_the_sandbox(tmp_path: Path) -> None:
    """Ids are trimmed and upper-cased, receivers without a mailbox skipped, blank and null ones too."""
    directory = load(
        tmp_path,
        [{"mailbox_id": "A1", "mailbox_name": "one", "ods_code": "X1"}],
        [
            {
                "workflow_id": " WF_1 ",
                "senders": [" a1 "],
                "receivers": [" a1 ", "", None, "NOBODY"],
                "more": 1,
            }
        ],
    )
    assert [box.mailbox_id for box in directory.receivers("WF_1", "X1")] == ["A1"]
    workflow = directory.workflow("WF_1")
    assert workflow is not None
    assert (workflow.allows_sender("A1"), workflow.allows_sender("A2")) == (True, False)


@pytest.mark.parametrize("senders", [{}, {"senders": None}, {"senders": []}, {"senders": [""]}])
def test_a_workflow_that_names_no_sender_is_open_to_all(tmp_path: Path, senders: dict[str, Any]) -> None:
    """The sandbox looks at no senders, so its files may leave them out."""
    directory = load(tmp_path, [], [{"workflow_id": "WF_1", "receivers": None} | senders])
    workflow = directory.workflow("WF_1")
    assert workflow is not None
    assert workflow.allows_sender("ANYBODY")
    assert workflow.receivers == ()


@pytest.mark.parametrize("active", ["false", "yes", 2, []])
def test_active_is_true_or_false(tmp_path: Path, active: object) -> None:
    """A text that says false is not taken for true."""
    with pytest.raises(SettingsError, match="line 1: 'active' must be true or false"):
        load(tmp_path, [{"mailbox_id": "A1", "mailbox_name": "one", "active": active}])
