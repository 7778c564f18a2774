"""What handlers find on the application, each under a typed key."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from mesh_sim.conductor.conductor import Conductor
from mesh_sim.config import Settings
from mesh_sim.exchange.desk import ServiceDesk
from mesh_sim.exchange.ports import UsedTokens
from mesh_sim.exchange.service import Exchange
from mesh_sim.faults import Faults
from mesh_sim.mailboxes import MailboxRegister
from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.rule import SharedRule
from mesh_sim.optouts.submissions import Submissions
from mesh_sim.timekeeper import TimeKeeper


class Resetting(Protocol):
    """Has a simulator begin again."""

    async def messages(self) -> None:
        """Forget every message; mailboxes and workflows are what their files say now."""

    async def everything(self) -> None:
        """Be as at the first start: choices, faults, journal, rehearsals and clock too."""


class Page(Protocol):
    """Answers a request of somebody's browser."""

    async def __call__(self, request: web.Request, /) -> web.StreamResponse:
        """Give the page."""


CONDUCTOR = web.AppKey("conductor", Conductor)
DESK = web.AppKey("desk", ServiceDesk)
FRESH_START = web.AppKey("fresh_start", Resetting)
EXCHANGE = web.AppKey("exchange", Exchange)
FAULTS = web.AppKey("faults", Faults)
MAILBOXES = web.AppKey("mailboxes", MailboxRegister)
NOT_FOUND_PAGE = web.AppKey("not_found_page", Page)
REGISTER = web.AppKey("register", OptOutRegister)
RULE = web.AppKey("rule", SharedRule)
SETTINGS = web.AppKey("settings", Settings)
SUBMISSIONS = web.AppKey("submissions", Submissions)
TIME = web.AppKey("time", TimeKeeper)
TOKENS = web.AppKey("tokens", UsedTokens)
