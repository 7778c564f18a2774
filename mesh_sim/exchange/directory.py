"""Who takes part: mailboxes and workflows, and who may send what to whom (mesh-api.md sections 15 and 19)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_NAMED = 20
"""How many mailboxes a text names."""

ANYONE = "*"
"""Among a workflow's senders: every mailbox may send it."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox, in the terms of the sandbox's ``mailboxes.jsonl``."""

    mailbox_id: str
    mailbox_name: str
    password: str = field(default="", repr=False)
    billing_entity: str = ""
    ods_code: str = ""
    org_code: str = ""
    org_name: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Workflow:
    """One restricted workflow: who may send it and who receives it."""

    workflow_id: str
    senders: frozenset[str]
    receivers: tuple[str, ...]

    def allows_sender(self, mailbox_id: str) -> bool:
        """Tell whether this mailbox may send on the workflow."""
        return ANYONE in self.senders or mailbox_id in self.senders


class Directory:
    """The mailboxes and workflows of one exchange, indexed for look-ups."""

    def __init__(self, mailboxes: Iterable[Mailbox], workflows: Iterable[Workflow]) -> None:
        self.replace(mailboxes, workflows)

    def replace(self, mailboxes: Iterable[Mailbox], workflows: Iterable[Workflow]) -> None:
        """Have these mailboxes and workflows take part from now on, and no others."""
        self._mailboxes = {mailbox.mailbox_id: mailbox for mailbox in mailboxes}
        self._workflows = {workflow.workflow_id: workflow for workflow in workflows}

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Every mailbox, in the order given."""
        return tuple(self._mailboxes.values())

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        """Every restricted workflow, in the order given."""
        return tuple(self._workflows.values())

    def mailbox(self, mailbox_id: str) -> Mailbox | None:
        """Give the mailbox of this id (upper case), or None."""
        return self._mailboxes.get(mailbox_id)

    def unknown(self, mailbox_id: str) -> str:
        """Say that there is no such mailbox, and which there are."""
        known = ", ".join(mailbox.mailbox_id for mailbox in self.mailboxes[:_NAMED])
        return f"there is no mailbox {mailbox_id}; known are {known}"

    def workflow(self, workflow_id: str) -> Workflow | None:
        """Give the rules of this workflow; None means it is unrestricted."""
        return self._workflows.get(workflow_id)

    def receivers(self, workflow_id: str, ods_code: str | None = None) -> list[Mailbox]:
        """List the receivers of a workflow in file order, those of one ODS code if it is given.

        Case-sensitive; an unknown workflow has none (section 15).
        """
        workflow = self._workflows.get(workflow_id)
        if workflow is None:
            return []
        known = (
            self._mailboxes[mailbox_id] for mailbox_id in workflow.receivers if mailbox_id in self._mailboxes
        )
        return [mailbox for mailbox in known if ods_code is None or mailbox.ods_code == ods_code]
