"""What pages find on the application, each under a typed key, beside what is in ``api.keys``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from mesh_sim.web.sessions import Sessions

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_WATCHERS: Final = 500
"""So many pages are told of changes at once; of each request all of them are."""

SESSIONS = web.AppKey("sessions", Sessions)
TEMPLATES: web.AppKey[Environment] = web.AppKey("templates")
WATCHERS = web.AppKey("watchers", asyncio.Semaphore)
"""The places for pages that are told of changes."""
