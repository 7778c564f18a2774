"""The style sheet's colours can be told apart, in light and in dark: WCAG 2.2, 1.4.3 and 1.4.11 (AA)."""

from __future__ import annotations

import itertools
import re
from typing import Final

import pytest

from mesh_sim.web.page import asset

STYLE: Final = re.sub(r"/\*.*?\*/", "", asset("style.css"), flags=re.DOTALL)

TEXT: Final = 4.5
SHAPE: Final = 3.0

SURFACES: Final = ("paper", "card", "bad-tint", "new")
"""What the text of a page stands on: the page itself, a card, a row that was refused, one that is new."""

PAIRS: Final[dict[str, tuple[float, tuple[str, ...]]]] = {
    "ink": (TEXT, SURFACES),
    "soft": (TEXT, SURFACES),
    "link": (TEXT, SURFACES),
    "bad": (TEXT, (*SURFACES, "bad-back")),
    "good": (TEXT, (*SURFACES, "good-back")),
    "busy": (TEXT, ("busy-back",)),
    "none": (TEXT, ("none-back",)),
    "on-navy": (TEXT, ("navy",)),
    "on-banner": (TEXT, ("banner",)),
    "on-focus": (TEXT, ("focus",)),
    "on-go": (TEXT, ("go",)),
    "on-warn": (TEXT, ("warn",)),
    "blue": (SHAPE, SURFACES),  # the page that one is on, a bar of a chart
    "edge": (SHAPE, SURFACES),  # fields
    "go": (SHAPE, ("paper", "card")),  # buttons, a step that went well
    "warn": (SHAPE, ("paper", "card")),
    "bad-edge": (SHAPE, ("paper", "card")),
}
"""The least ratio of each colour to what it is seen on."""

DECORATION: Final = frozenset({"line", "go-deep", "warn-deep"})
"""What carries no meaning: lines between rows, the shadows of buttons."""


def _schemes() -> dict[str, dict[str, str]]:
    """Read the custom properties of each scheme; dark has what light has unless it says otherwise."""
    light, dark, *_ = (
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", block))
        for block in re.findall(r":root\s*{([^}]*)}", STYLE)
    )
    return {"light": light, "dark": light | dark}


SCHEMES: Final = _schemes()


def _luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _ratio(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _rules() -> list[tuple[str, str]]:
    """Give each rule's selector and declarations, those within media queries too."""
    return [(selector.strip(), body) for selector, body in re.findall(r"([^{}]+){([^{}]*)}", STYLE)]


def _variable(body: str, *names: str) -> str:
    found = re.search(rf"(?<![\w-])(?:{'|'.join(names)}):\s*var\(--([\w-]+)\)", body)
    return found[1] if found else ""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAIRS)
def test_each_colour_stands_out(scheme: str, name: str) -> None:
    """A colour has enough contrast to everything that it is seen on."""
    colours = SCHEMES[scheme]
    least, surfaces = PAIRS[name]
    for surface in surfaces:
        ratio = _ratio(colours[name], colours[surface])
        assert ratio >= least, f"{name} on {surface} in {scheme}: {ratio:.2f} is below {least}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_rule_s_own_colours_stand_out(scheme: str) -> None:
    """Text of a rule that gives both its colour and what is behind it can be read."""
    judged = 0
    for selector, body in _rules():
        text, behind = _variable(body, "color"), _variable(body, "background", "background-color")
        if text and behind:
            judged += 1
            ratio = _ratio(SCHEMES[scheme][text], SCHEMES[scheme][behind])
            assert ratio >= TEXT, f"{selector} in {scheme}: {text} on {behind} has {ratio:.2f}"
    assert judged > 10


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_has_the_focus_is_seen(scheme: str) -> None:
    """The focus' colour, or the edge that goes with it, stands out wherever the focus can be."""
    colours = SCHEMES[scheme]
    for surface, edge in itertools.product(("paper", "card", "navy", "bad-tint"), ("on-focus", "ink")):
        ratios = [_ratio(colours[name], colours[surface]) for name in ("focus", edge)]
        assert max(ratios) >= SHAPE, f"{surface} in {scheme}: {ratios}"


def test_every_colour_is_judged() -> None:
    """Each colour stands in a table here, and each but the focus' own is another in the dark."""
    known = set(PAIRS) | DECORATION | {name for _, names in PAIRS.values() for name in names}
    assert set(SCHEMES["light"]) == known
    assert {name for name in known if SCHEMES["light"][name] == SCHEMES["dark"][name]} <= {"focus"}


def test_rules_take_their_colours_from_the_schemes() -> None:
    """No rule has a colour of its own, which dark mode would not change; print is on white paper."""
    for selector, body in _rules():
        for colour in re.findall(r"#[0-9a-f]{3,8}\b|\brgba?\(|\bhsla?\(", body):
            assert selector.endswith(":root"), f"{selector} has the colour {colour}"


def test_nothing_hides_the_focus() -> None:
    """An outline is taken away only from where nobody goes but by the link that skips to it."""
    without = {selector for selector, body in _rules() if re.search(r"outline:\s*(none|0)\b", body)}
    assert without == {"main:focus"}


def test_wishes_of_the_system_are_heeded() -> None:
    """Whoever wants less motion, colours of their own, or paper, gets that."""
    for query in ("prefers-reduced-motion: reduce", "forced-colors: active", "print"):
        assert f"@media ({query})" in STYLE or f"@media {query}" in STYLE
    animated = {selector for selector, body in _rules() if re.search(r"animation:(?! none)", body)}
    still = STYLE.partition("prefers-reduced-motion")[2]
    assert animated
    assert all(f"{selector} {{ animation: none" in still for selector in animated)
