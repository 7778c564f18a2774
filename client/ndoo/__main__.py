"""``python -m ndoo`` is the ``ndoo`` command."""

from __future__ import annotations

from ndoo.cli import app

if __name__ == "__main__":
    app()
