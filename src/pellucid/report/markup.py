"""Markup that escapes by construction: whatever is not already `Markup` is data, and data are escaped.

The same builder writes HTML and SVG, and what it writes is well-formed XML too, so that a test can parse a whole page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Attribute = str | float | int | bool | None

# Control characters are not allowed in XML; direction overrides could make one label look like another.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_EMPTY = frozenset({"br", "circle", "col", "hr", "img", "line", "meta", "path", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def clean(text: object) -> str:
    """Text without control characters and direction overrides: safe for a page and for a terminal."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text))


def escape(text: object) -> Markup:
    """Data as markup; `Markup` passes unchanged."""
    if isinstance(text, Markup):
        return text
    plain = clean(text)
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        plain = plain.replace(raw, entity)
    return Markup(plain)


def coordinate(value: float) -> str:
    """A length in the picture, two decimals, no negative zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def el(name: str, attributes: Mapping[str, Attribute] | None = None, *children: object) -> Markup:
    """One element.

    Args:
        name: tag.
        attributes: name -> value; None and False are left out, True gives an empty value, floats are coordinates.
        children: `Markup`, or data to be escaped; None is left out.
    """
    written = []
    for key, value in (attributes or {}).items():
        if value is None or value is False:
            continue
        shown = "" if value is True else coordinate(value) if isinstance(value, float) else str(value)
        written.append(f' {key}="{escape(shown)}"')
    head = f"<{name}{''.join(written)}"
    if name in _EMPTY and not children:
        return Markup(f"{head}/>")
    return Markup(f"{head}>{join(children)}</{name}>")


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Parts one after another, data escaped, None left out."""
    return Markup(separator.join(escape(part) for part in parts if part is not None))
