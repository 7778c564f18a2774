"""The cases of NHS England's catalogue (witness-tests.md), a module for each of its sets."""
