"""A browser without scripts, as far as tests of pages need one: cookies, forms with their tokens, tables."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_VOID: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)


@dataclass(slots=True)
class Element:
    """One element: its name, attributes and what is in it, in order."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What people read of it, blanks joined."""
        return " ".join("".join(self._texts()).split())

    def all(self, name: str = "", /, **attributes: str) -> list[Element]:
        """Give the elements in it by name and attributes, in order; ``class_`` is ``class``."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [
            element
            for element in self._elements()
            if name in ("", element.name) and wanted.items() <= element.attributes.items()
        ]

    def one(self, name: str = "", /, **attributes: str) -> Element:
        """Give the only one there is."""
        found = self.all(name, **attributes)
        assert len(found) == 1, f"{len(found)} elements {name} with {attributes}"
        return found[0]

    def _elements(self) -> list[Element]:
        inside = [child for child in self.children if isinstance(child, Element)]
        return [element for child in inside for element in (child, *child._elements())]

    def _texts(self) -> list[str]:
        if self.name in ("style", "script"):
            return []
        texts = []
        for child in self.children:
            texts += [child] if isinstance(child, str) else [" ", *child._texts(), " "]
        return texts


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open[-1].name == tag, f"</{tag}> ends <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def close(self) -> None:
        super().close()
        assert len(self._open) == 1, f"<{self._open[-1].name}> does not end"


def read_html(text: str) -> Element:
    """Read a page; one whose elements do not nest is refused."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.root


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it was answered, after redirects."""

    status: int
    url: URL
    headers: CIMultiDictProxy[str]
    body: bytes
    root: Element

    @property
    def text(self) -> str:
        """What people read of its main part, blanks joined."""
        return self.root.one("main").text

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.root.one("h1").text

    def rows(self, label: str) -> list[dict[str, str]]:
        """Give the rows of the table with this label, each by its cells' labels."""
        table = self.root.one("div", role="region", aria_label=label)
        return [
            {
                cell.attributes["data-label"]: cell.text
                for cell in row.all()
                if cell.name in ("td", "th") and "data-label" in cell.attributes
            }
            for body in table.all("tbody")
            for row in body.all("tr")
        ]

    def links(self) -> dict[str, str]:
        """Give where the links lead, by their texts."""
        return {link.text: link.attributes["href"] for link in self.root.all("a")}

    def fields(self, action: str) -> dict[str, str]:
        """Give what the form to this address holds, its hidden fields among it."""
        (form, *_) = [form for form in self.root.all("form") if form.attributes.get("action") == action]
        held = {
            given.attributes["name"]: given.attributes.get("value", "")
            for given in form.all("input")
            if "name" in given.attributes
            and (given.attributes.get("type") not in ("checkbox", "radio") or "checked" in given.attributes)
        }
        for choice in form.all("select"):
            options = choice.all("option")
            chosen = [option for option in options if "selected" in option.attributes] or options[:1]
            if chosen:
                held[choice.attributes["name"]] = chosen[0].attributes["value"]
        return held

    def problem(self, name: str) -> str:
        """Say what stands beside a field as wrong with it; '' where nothing does."""
        found = [
            element
            for element in self.root.all("p", class_="problem")
            if element.attributes["id"].removesuffix("-problem").endswith(name)
        ]
        return re.sub(r"^Error:\s*", "", found[0].text) if found else ""


class Visitor:
    """Somebody who looks at pages; keeps cookies."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Page:
        """Look at a page."""
        return await self._asked("GET", path, headers=headers)

    async def submit(self, path: str, action: str, /, **fields: str) -> Page:
        """Fill in a form of the page at ``path`` and send it; ``from_``-like names lose their underscore."""
        held = (await self.get(path)).fields(action)
        given = {name.rstrip("_"): value for name, value in fields.items()}
        return await self.post(action, held | given)

    async def post(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Page:
        """Send a form as it is given."""
        return await self._asked("POST", path, data=fields, headers=headers)

    async def _asked(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> Page:
        sent: CIMultiDict[str] = CIMultiDict({"Accept": "text/html"})
        sent.update(headers or {})
        address = URL(self.url + path, encoded=True)
        async with self._session.request(method, address, headers=sent, data=data) as answer:
            body = await answer.read()
            assert answer.content_type == "text/html", (answer.status, body[:500])
            return Page(answer.status, answer.url, answer.headers, body, read_html(body.decode()))


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Visitor]:
    """Look at the pages of a simulator."""
    # Cookies of a host without a name, as tests have it, are kept only if one asks for that.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Visitor(url, session)
