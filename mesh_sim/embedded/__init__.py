"""The simulator inside another Python program: a thread of its own, and calls that wait for it."""
