"""The control API under ``/admin``: what a test wants to do to the simulator (design.md, "Control API")."""
