"""What the exchange refuses, by kind; the API's middleware turns each kind into a status and a body.

ExchangeError
├── Unauthorised        403  the token, or the mailbox it names
├── Forbidden           403  somebody else's message
├── NotFound            404
├── Gone                410  expired, failed or acknowledged
├── Malformed           400  a header that breaks its rules
├── SendRefused         417  a send that the exchange will not take
├── EncodingUnsupported 422
├── UploadFinished      423  a chunk for a message that is complete
├── ChunkBeyondTotal    406
├── BodyTooLarge        413
├── Ambiguous           300  several messages with one local id
└── StorageFailed       503  disk full, database locked: nothing was accepted
"""

from __future__ import annotations

from typing import Final

from ndoo.protocol import Codes, ErrorCode

INTERNAL: Final = "An internal error occurred.\n\nPlease contact support."
"""The generic text of section 4, where the official service says no more."""


class ExchangeError(Exception):
    """Base of all refusals. ``event`` and ``code`` are empty where the official text has none."""

    def __init__(
        self,
        cause: ErrorCode | str,
        *,
        message_id: str = "",
        why: str = "",
    ) -> None:
        if isinstance(cause, str):
            cause = ErrorCode("", "", cause)
        super().__init__(why or cause.text)
        self.event = cause.event
        self.code = cause.code
        self.text = cause.text
        self.message_id = message_id
        self.why = why
        """For logs and journals: more than the official text says, never a secret."""


class Unauthorised(ExchangeError):
    """The token is refused, or the mailbox is unknown or inactive (section 5)."""


class Forbidden(ExchangeError):
    """The message belongs to other mailboxes."""

    def __init__(self, *, why: str = "") -> None:
        super().__init__("Forbidden", why=why)


class NotFound(ExchangeError):
    """There is no such thing; the bare phrase unless a code says more."""

    def __init__(self, cause: ErrorCode | str = "Not Found", *, why: str = "") -> None:
        super().__init__(cause, why=why)


class Gone(ExchangeError):
    """The message was there but can no longer be downloaded (section 8)."""

    def __init__(self, *, why: str = "") -> None:
        super().__init__(Codes.NO_LONGER_AVAILABLE, why=why)


class Malformed(ExchangeError):
    """A header breaks the rules for its text (section 12, a, b and d)."""


class SendRefused(ExchangeError):
    """The exchange will not take this message or chunk (sections 12 and 13)."""


class EncodingUnsupported(ExchangeError):
    """Content-Encoding other than gzip (section 12, e)."""

    def __init__(self, *, why: str = "") -> None:
        super().__init__(Codes.UNSUPPORTED_ENCODING, why=why)


class UploadFinished(ExchangeError):
    """A chunk for a message that is complete, or was never chunked (section 13)."""

    def __init__(self, *, why: str) -> None:
        super().__init__(INTERNAL, why=why)


class ChunkBeyondTotal(ExchangeError):
    """A chunk number above the total that the first chunk announced (section 13)."""

    def __init__(self, *, why: str) -> None:
        super().__init__(INTERNAL, why=why)


class BodyTooLarge(ExchangeError):
    """More than 100 MB in one request (section 2)."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"Request body is larger than {limit} bytes; send it in chunks",
            why=f"the body is larger than {limit} bytes (MESH_SIM_MAX_REQUEST_BYTES)",
        )


class Ambiguous(ExchangeError):
    """Several messages were sent with this local id (section 14)."""

    def __init__(self) -> None:
        super().__init__("Multiple Choices")


class StorageFailed(ExchangeError):
    """The message could not be made durable; nothing was accepted, and trying again may help."""

    def __init__(self, *, why: str) -> None:
        super().__init__(INTERNAL, why=why)
