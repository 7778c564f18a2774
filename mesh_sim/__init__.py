"""mesh-sim: NHS MESH and the opt-out check service on one machine."""

from typing import TYPE_CHECKING

__all__ = ["Simulator"]

if TYPE_CHECKING:
    from mesh_sim.embedded.simulator import Simulator
else:

    def __getattr__(name):
        # Not before it is asked for: every pytest run imports this package, and most need no simulator.
        if name in __all__:
            from mesh_sim.embedded.simulator import Simulator  # noqa: PLC0415 - see above

            return Simulator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
