"""Common parts of the pages that people read: values in words, and templates made HTML."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ganops.core.files import embedded
from ganops.reports import plots

TEMPLATES = Path(__file__).parent / "templates"
"""The folder of the templates of all pages."""


def environment() -> jinja2.Environment:
    """Return an environment of the templates: values are escaped, and none may be missing."""
    found = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.loader = jinja2.FileSystemLoader(TEMPLATES)
    found.filters |= {"number": readable, "breakable": breakable}
    return found


HEAD: dict[str, Any] = {"about": {}, "decided": "", "beside": {}}
"""Defaults of the head: facts about the subject of a page, the decision in words, the figures beside its number."""


def fill(template: str, **content: Any) -> str:
    """The template with its content, as HTML: no script, nothing to load, the same bytes for the same input."""
    return environment().get_template(template).render(**HEAD | content)


def svg_uri(content: bytes) -> str:
    """An SVG as a `data:` URI."""
    return embedded("image/svg+xml", content)


def brackets(ends: Sequence[float] | None) -> str | None:
    """Return a 95 % interval in words, between its ends; None where there is none."""
    return "[{}, {}]".format(*map(readable, ends)) if ends else None


def present(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content without its empty values."""
    return {name: value for name, value in content.items() if value is not None and value not in ("", [], {})}


def readable(value: Any) -> str:
    """A value as a person reads it; what is absent is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return plots.number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {readable(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(readable, value))
    return str(value)


def breakable(name: str) -> Markup:
    """A dotted or underscored name that may break into lines where its words end."""
    words = Markup.escape(name)
    for joint in (".", "_", "/"):
        words = words.replace(joint, Markup(f"{joint}<wbr>"))
    return words
