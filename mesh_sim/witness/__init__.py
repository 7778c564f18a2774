"""The witness: what clients asked of the simulator, and why it refused."""
