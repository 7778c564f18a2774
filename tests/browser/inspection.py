"""What a page must be for everybody: accessible by axe's rules, and no wider than the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from browser.troubles import short

if TYPE_CHECKING:
    from playwright.sync_api import Page

RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""axe's tags for WCAG 2.0 to 2.2, levels A and AA, and for good habits; it has no rule new in 2.2 at A."""

_RUN_SCRIPTS: Final = "() => matchMedia('(scripting: enabled)').matches"

_TOO_WIDE: Final = """(width) => {
  if (document.documentElement.scrollWidth <= width) return [];
  const scrolled = (element) => {
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement)
      if (getComputedStyle(box).overflowX !== 'visible') return true;
    return false;
  };
  return [...document.body.querySelectorAll('*')]
    .filter((element) => element.getBoundingClientRect().right > width + 0.5 && !scrolled(element))
    .map((element) => `${element.cloneNode(false).outerHTML.slice(0, 160)} ends at `
      + `${Math.ceil(element.getBoundingClientRect().right)} of ${width} pixels`);
}"""


def accessible(page: Page) -> None:
    """Fail with a list of what axe finds wrong: rule, impact, where, and what to do."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - a package of the extra "browser"

    if not page.evaluate(_RUN_SCRIPTS):
        pytest.fail("axe is a script: have it look at the same address in a page that runs scripts")
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    findings = Axe().run(page, options=options).response["violations"]
    if findings:
        pytest.fail("\n\n".join((f"axe at {short(page.url)}:", *map(_told, findings))), pytrace=False)


def fits(page: Page) -> None:
    """Fail if the page is wider than its window, with the elements that stick out."""
    if too_wide := page.evaluate(_TOO_WIDE, page.viewport_size["width"]):
        pytest.fail("\n  ".join((f"{short(page.url)} is wider than the window:", *too_wide)), pytrace=False)


def _told(finding: dict[str, Any]) -> str:
    lines = [f"{finding['id']} ({finding['impact']}): {finding['help']}"]
    for node in finding["nodes"]:
        # A frame, or an element in a shadow tree, has several selectors.
        lines.append(f"  {' '.join(map(str, node['target']))}")
        lines += [f"    {line}" for line in node["failureSummary"].splitlines()]
    return "\n".join(lines)
