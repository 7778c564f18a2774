"""``python -m mesh_sim``: the same as the ``mesh-sim`` command."""

from __future__ import annotations

from mesh_sim.cli import app

if __name__ == "__main__":
    app()
