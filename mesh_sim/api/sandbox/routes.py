"""The sandbox's admin paths (mesh-api.md section 18); they stand before MESH's own, as fixed ones must.

Its rich inbox and outbox are signed by a mailbox and stand among MESH's operations.
"""

from __future__ import annotations

from typing import Final

from mesh_sim.api.operations import Handler
from mesh_sim.api.sandbox.admin import (
    put_event,
    put_report,
    reset_everything,
    reset_mailbox,
    show_mailbox,
    show_message,
)

MX: Final = "/messageexchange"

_BOTH_PREFIXES: Final[list[tuple[str, str, Handler]]] = [
    ("DELETE", "/admin/reset", reset_everything),
    ("DELETE", "/admin/reset/{mailbox_id}", reset_mailbox),
    ("POST", "/admin/message/{message_id}/event", put_event),
    ("GET", "/admin/mailbox/{mailbox_id}", show_mailbox),
    ("GET", "/admin/message/{message_id}", show_message),
]
_LONG_PREFIX: Final[list[tuple[str, str, Handler]]] = [
    ("POST", "/admin/report", put_report),
    ("GET", "/mailbox/{mailbox_id}", show_mailbox),
]


SANDBOX_PATHS: Final = [
    *((method, prefix + path, handler) for prefix in ("", MX) for method, path, handler in _BOTH_PREFIXES),
    *((method, MX + path, handler) for method, path, handler in _LONG_PREFIX),
]
