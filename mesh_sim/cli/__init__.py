"""The ``mesh-sim`` command; ``app`` is its entry point."""

from __future__ import annotations

import sys

try:
    from mesh_sim.cli.root import app
except KeyboardInterrupt:  # Ctrl-C before there is a command that could be told of it
    sys.stderr.write("mesh-sim: interrupted\n")
    raise SystemExit(130) from None

__all__ = ["app"]
