"""Servers killed amid their work, and what must hold afterwards: for the suite and, at length, the soak."""
