"""Building blocks of a page: verdict, table, figure with its caption, facts, card, folded details."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pellucid.report.markup import Markup, el, join
from pellucid.report.numbers import decimals_for, interval, number, typeset

Cell = object  # data or Markup


def chip(symbol: str, word: str, tone: str) -> Markup:
    """A verdict: sign, word and colour say the same."""
    sign = el("span", {"class": "sign", "aria-hidden": "true"}, symbol)
    return el("span", {"class": f"chip {tone}"}, sign, word)


def paragraph(*text: object, classes: str | None = None) -> Markup:
    """A paragraph."""
    return el("p", {"class": classes}, *text)


def listed(sentences: Iterable[str]) -> Markup | None:
    """Sentences as a list."""
    lines = [el("li", None, sentence) for sentence in sentences]
    return el("ul", {"class": "plain"}, *lines) if lines else None


def estimate(value: object, low: object, high: object, *, signed: bool = False) -> Markup:
    """A value and its interval, the interval quieter."""
    places = decimals_for(low, high)
    shown = typeset(number(value, signed=signed, decimals=places))
    around = typeset(interval(low, high, signed=signed, decimals=places))
    return join([shown, " ", el("span", {"class": "range"}, around)])


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, numeric: Sequence[int] = ()) -> Markup:
    """A table that scrolls sideways by itself; the first cell of a row is its header.

    Args:
        caption: what it shows.
        head: column names.
        rows: cells, as many as `head`.
        numeric: columns that are set as numbers, right-aligned.
    """
    body = list(rows)
    if not body:
        return paragraph(f"{caption}: none.", classes="soft")

    def classes(i: int) -> str:
        return "number" if i in numeric else "text"

    top = [el("th", {"scope": "col", "class": classes(i)}, name) for i, name in enumerate(head)]
    lines = [
        el(
            "tr",
            None,
            el("th", {"scope": "row", "class": classes(0)}, row[0]),
            *(el("td", {"class": classes(i)}, cell) for i, cell in enumerate(row[1:], start=1)),
        )
        for row in body
    ]
    inner = el(
        "table", None, el("caption", None, caption), el("thead", None, el("tr", None, *top)), el("tbody", None, *lines)
    )
    return el("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}, inner)


def figure(picture: Markup, title: str, line: str) -> Markup:
    """A picture and one plain line: what is shown."""
    return el("figure", None, picture, el("figcaption", None, el("strong", None, title), " ", line))


def facts(pairs: Iterable[tuple[str, object]]) -> Markup | None:
    """Names and values, side by side."""
    rows = [el("div", None, el("dt", None, name), el("dd", None, value)) for name, value in pairs]
    return el("dl", {"class": "facts"}, *rows) if rows else None


def card(title: object, aside: Sequence[object], *body: object) -> Markup:
    """A bordered part with its own heading (third level)."""
    return el("article", {"class": "card"}, el("header", None, el("h3", None, title), *aside), *body)


def details(summary: str, *body: object) -> Markup:
    """Folded away until asked for."""
    return el("details", None, el("summary", None, summary), *body)


def section(name: str, title: str, intro: str, *body: object) -> Markup:
    """A part of the report (second level), reachable as `#name`."""
    head = el("h2", {"id": f"{name}-title"}, title)
    return el(
        "section", {"id": name, "aria-labelledby": f"{name}-title"}, head, paragraph(intro) if intro else None, *body
    )
