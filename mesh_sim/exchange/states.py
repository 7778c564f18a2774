"""The life of a message as one transition table (mesh-api.md section 20)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a message is; the values travel in tracking answers."""

    UPLOADING = "uploading"
    ACCEPTED = "accepted"
    ACKNOWLEDGED = "acknowledged"
    UNDELIVERABLE = "undeliverable"
    ERROR = "error"


class Step(StrEnum):
    """What can happen to a message."""

    SEND = "send"
    BEGIN = "begin a chunked send"
    ADD_CHUNK = "add a chunk"
    COMPLETE = "complete the upload"
    ACKNOWLEDGE = "acknowledge"
    EXPIRE = "expire"
    FAIL = "fail"


TRANSITIONS: Final[dict[tuple[Status | None, Step], Status]] = {
    (None, Step.SEND): Status.ACCEPTED,
    (None, Step.BEGIN): Status.UPLOADING,
    (Status.UPLOADING, Step.ADD_CHUNK): Status.UPLOADING,
    (Status.UPLOADING, Step.COMPLETE): Status.ACCEPTED,
    (Status.UPLOADING, Step.FAIL): Status.ERROR,
    (Status.ACCEPTED, Step.ACKNOWLEDGE): Status.ACKNOWLEDGED,
    (Status.ACCEPTED, Step.EXPIRE): Status.UNDELIVERABLE,
    (Status.ACCEPTED, Step.FAIL): Status.ERROR,
}


class IllegalStep(Exception):
    """A step that the table does not allow from where the message is."""

    def __init__(self, status: Status | None, step: Step) -> None:
        super().__init__(
            f"cannot {step.value} a message that is {status.value if status else 'not yet there'}"
        )
        self.status = status
        self.step = step


def advance(status: Status | None, step: Step) -> Status:
    """Give the status that ``step`` leads to.

    Raises:
        IllegalStep: the table has no such transition.
    """
    try:
        return TRANSITIONS[status, step]
    except KeyError:
        raise IllegalStep(status, step) from None
