"""aiohttp's own log lines, without what a broken request held: that may be a token."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError


class _WithoutContent(logging.Filter):
    """Rewrites the line for a request that is not HTTP: its kind, not its text."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
            record.msg = "a request was refused because it is not proper HTTP (%s)"
            record.args = (type(error).__name__,)
            record.exc_info = record.exc_text = None
        return True


http_log = logging.getLogger("mesh_sim.http")
http_log.addFilter(_WithoutContent())
