"""What people ask of the simulator, as typed models: the same in control requests and in scenario files."""
