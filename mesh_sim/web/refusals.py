"""What a page cannot show or do, as it is told to people."""

from __future__ import annotations


class PageRefused(Exception):
    """A page that is not shown, or a form that is not carried out.

    ``title`` names what happened, ``text`` why and what to do; both are whole sentences or headings. What was
    asked for is not repeated in them where it may be a person's number. ``ways`` lead on, beside that to the
    overview: addresses with what they lead to.
    """

    def __init__(self, status: int, title: str, text: str, *ways: tuple[str, str]) -> None:
        super().__init__(f"{title}: {text}")
        self.status = status
        self.title = title
        self.text = text
        self.ways = ways


def not_there(what: str, hint: str, *ways: tuple[str, str]) -> PageRefused:
    """Refuse what does not exist: 404."""
    return PageRefused(404, f"There is no such {what}", hint, *ways)
