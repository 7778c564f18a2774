"""The ``workflow_filter`` grammar of the inbox list (mesh-api.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Match(StrEnum):
    """How a filter's text is compared with a workflow id; always case-sensitively."""

    EQUALS = "equals"
    BEGINS = "begins with"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """One parsed filter."""

    match: Match
    text: str
    negated: bool

    @classmethod
    def parse(cls, value: str) -> WorkflowFilter:
        """Read a filter; every text is one.

        The value is trimmed, one ``!`` in front negates, a leading ``*`` means "contains" and drops the
        last character whatever it is, a trailing ``*`` means "begins with"; a ``*`` elsewhere is literal.
        """
        text = value.strip()
        negated = text.startswith("!")
        text = text.removeprefix("!")
        if text.startswith("*"):
            return cls(Match.CONTAINS, text[1:-1], negated)
        if text.endswith("*"):
            return cls(Match.BEGINS, text[:-1], negated)
        return cls(Match.EQUALS, text, negated)

    def accepts(self, workflow_id: str) -> bool:
        """Tell whether a message of this workflow is listed."""
        if self.match is Match.EQUALS:
            found = workflow_id == self.text
        elif self.match is Match.BEGINS:
            found = workflow_id.startswith(self.text)
        else:
            found = self.text in workflow_id
        return found is not self.negated
