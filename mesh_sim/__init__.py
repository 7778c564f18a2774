"""mesh-sim: NHS MESH and the opt-out check service on one machine."""
