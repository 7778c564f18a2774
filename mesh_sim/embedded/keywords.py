"""What the calls of a simulator take by name; what is left out is as their descriptions say."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict


class Units(TypedDict, total=False):
    """A length of time."""

    weeks: float
    days: float
    hours: float
    minutes: float
    seconds: float


class MessageFields(TypedDict, total=False):
    """What messages are to say; with several, each local id gets its number."""

    sender: str
    workflow_id: str
    subject: str
    local_id: str
    file_name: str
    content_type: str


class MailboxFields(TypedDict, total=False):
    """What a mailbox is to be."""

    password: str
    active: bool
    mailbox_name: str
    billing_entity: str
    ods_code: str
    org_code: str
    org_name: str


class Filters(TypedDict, total=False):
    """What a message must be; what is not given selects nothing out."""

    sender: str
    workflow_id: str
    local_id: str
    subject: str
    status: str
    message_type: str


class FaultOptions(TypedDict, total=False):
    """How a call is to fail, and which of them; see :class:`mesh_sim.faults.FaultRule`.

    ``retry_after`` and ``delay`` are lengths of time: ``"2s"``, a timedelta, or seconds.
    """

    mailbox: str
    action: str
    status: int
    retry_after: str | float | timedelta
    delay: str | float | timedelta
    after_bytes: int
    nth: int
    times: int
    probability: float
    seed: int
