"""The mailboxes as they were changed since the start: created, disabled, given another password."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from mesh_sim.exchange.directory import Directory, Mailbox, Workflow
from mesh_sim.shared import Documents


class MailboxExists(Exception):
    """A mailbox that is to be created is there already."""


class UnknownMailbox(Exception):
    """There is no mailbox with this id."""


class MailboxRegister:
    """Creates and changes mailboxes, for every process and over restarts.

    The mailboxes of the files come first; as a document, what was changed is a JSON list of whole records
    that replace those of the same id or are added.
    """

    name = "mailboxes"

    def __init__(
        self, directory: Directory, documents: Documents, *, changed: Callable[[Mailbox], None]
    ) -> None:
        """Make one; ``changed`` is told of each mailbox that this process creates or changes."""
        self._changed = changed
        self._directory = directory
        self._documents = documents
        self._given: tuple[tuple[Mailbox, ...], tuple[Workflow, ...]] = ((), ())
        self.give(directory.mailboxes, directory.workflows)

    def give(self, mailboxes: tuple[Mailbox, ...], workflows: tuple[Workflow, ...]) -> None:
        """Take what the files say as the start from which changes count; the changes made so far stay."""
        self._given = (mailboxes, workflows)

    def follow(self, content: str) -> None:
        """Take over what was changed."""
        _, workflows = self._given
        self._directory.replace(self._all(content).values(), workflows)

    async def create(self, mailbox: Mailbox) -> Mailbox:
        """Have one more mailbox take part.

        Raises:
            MailboxExists: there is one with this id.
        """

        def add(content: str) -> str:
            if mailbox.mailbox_id in self._all(content):
                raise MailboxExists(mailbox.mailbox_id)
            return _with(content, mailbox)

        self.follow((await self._documents.change(self.name, add)).content)
        self._changed(mailbox)
        return mailbox

    async def change(self, mailbox_id: str, changes: dict[str, Any]) -> Mailbox:
        """Change a mailbox; ``changes`` by the names of its fields, all but its id.

        Raises:
            UnknownMailbox: there is none with this id.
        """

        def edit(content: str) -> str:
            mailbox = self._all(content).get(mailbox_id)
            if mailbox is None:
                raise UnknownMailbox(mailbox_id)
            return _with(content, replace(mailbox, **changes))

        content = (await self._documents.change(self.name, edit)).content
        self.follow(content)
        mailbox = self._all(content)[mailbox_id]
        self._changed(mailbox)
        return mailbox

    async def restore(self) -> None:
        """Undo every change."""
        self.follow((await self._documents.change(self.name, lambda _: "[]")).content)

    def _all(self, content: str) -> dict[str, Mailbox]:
        mailboxes, _ = self._given
        return {mailbox.mailbox_id: mailbox for mailbox in (*mailboxes, *_changed(content))}


def _changed(content: str) -> list[Mailbox]:
    return [Mailbox(**record) for record in json.loads(content or "[]")]


def _with(content: str, mailbox: Mailbox) -> str:
    changed = {known.mailbox_id: known for known in (*_changed(content), mailbox)}
    return json.dumps([asdict(known) for known in changed.values()])
