"""What handlers find on the application, each under a typed key."""

from __future__ import annotations

from aiohttp import web

from mesh_sim.config import Settings
from mesh_sim.exchange.ports import UsedTokens
from mesh_sim.exchange.service import Exchange

EXCHANGE = web.AppKey("exchange", Exchange)
SETTINGS = web.AppKey("settings", Settings)
TOKENS = web.AppKey("tokens", UsedTokens)
