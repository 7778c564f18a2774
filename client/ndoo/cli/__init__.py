"""The ``ndoo`` command; ``app`` is its entry point."""

from __future__ import annotations

from ndoo.cli.root import app

__all__ = ["app"]
