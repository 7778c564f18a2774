"""When the service says nothing (ndoo-service.md, "What comes back", 4), and what to do about it."""

from __future__ import annotations

from typing import Final

from mesh_sim.exchange.messages import Message, MessageType
from ndoo.protocol import WORKFLOW_CACHE, WORKFLOW_CHECK, Header, gets_reply

WORKFLOWS: Final = frozenset({WORKFLOW_CHECK, WORKFLOW_CACHE})
"""The workflow ids of submissions."""


def why_no_reply(message: Message) -> str:
    """Explain why a message to the service gets no reply, and the remedy; empty if it gets one.

    A header's value is never part of the text: an odd one may hold somebody's personal data.
    """
    if message.message_type is not MessageType.DATA:
        return f"it is a {message.message_type} and not a submission"
    if message.workflow_id not in WORKFLOWS:
        return f"{Header.WORKFLOW_ID} must be {WORKFLOW_CHECK} or {WORKFLOW_CACHE}"
    for header, value in (
        (Header.SUBJECT, message.metadata.subject),
        (Header.LOCAL_ID, message.metadata.local_id),
    ):
        if not value:
            return f"{header} is missing; MESH calls it optional, but this service never replies without it"
        if not gets_reply(value):
            return (
                f"{header} holds a character other than letters, digits, '-' and '_' "
                "(perhaps a colon or a blank); this service never replies then"
            )
    return ""
