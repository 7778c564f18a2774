"""What a round trip is doing at the moment, for whoever wants to show it."""

from __future__ import annotations


class Progress:
    """Told what goes on; every method does nothing here, and a subclass shows what it likes.

    The methods are called from the event loop's thread or from a worker's, never two at a time, and must
    return at once. Byte counts may go back when something is read or sent again. A total of 0 is not known.
    """

    def validating(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the source file have been read (compressed ones, where it is)."""

    def sending(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the list have been handed to the network."""

    def waiting(self, waited: float, next_look: float) -> None:
        """No answer yet: ``waited`` seconds so far, ``next_look`` seconds until the inbox is looked into."""

    def receiving(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the answer have come in."""

    def filtering(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the source file have been filtered."""

    def step(self, name: str, **facts: str | int) -> None:
        """A step is complete, such as ``submitted`` or ``receipt``; for logs.

        ``facts`` are counts, ids and file names, never an NHS number or a secret.
        """

    def say(self, sentence: str) -> None:
        """Something a person should know, such as that a list was sent again."""


SILENT = Progress()
"""Shows nothing."""
