"""The templates of pages; what reads them is imported when the first page is shown, not at the start."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment, Template


class Templates:
    """Stands in for the environment, which aiohttp-jinja2 wants before an application starts."""

    def get_template(self, name: str) -> Template:
        """Give a template of ours."""
        return _environment().get_template(name)


@cache
def _environment() -> Environment:
    """Read templates once a process, however many simulators it has: they are the same for all."""
    from jinja2 import Environment, PackageLoader  # noqa: PLC0415 - see above

    from mesh_sim.web.wording import FILTERS  # noqa: PLC0415 - with jinja2

    environment = Environment(
        loader=PackageLoader("mesh_sim.web"),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment
