"""The pictures that a program was most wrong about, each with what it was and what it was taken for."""

from __future__ import annotations

from pellucid.report.blocks import figure
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, percent
from pellucid.report.words import Json, items, text


def wrong_pictures(extra: Json) -> Markup | None:
    """A figure; nothing for tasks without pictures."""
    raw: Json = extra.get("pictures") or {}
    shown = items(raw, "shown")
    if not shown:
        return None
    strip = el("ul", {"class": "pictures"}, *(_one(one) for one in shown))
    total = f"{count(raw.get('wrong'))} of {count(raw.get('of'))} were taken for another class"
    some = "; these the surest." if len(shown) < int(raw.get("wrong") or 0) else "."
    return figure(strip, f"Worst errors ({text(raw, 'field')}).", total + some)


def _one(one: Json) -> Markup:
    label, said, chance = text(one, "label"), text(one, "said"), percent(one.get("chance"))
    picture = el(
        "img",
        {
            "alt": f"Picture {text(one, 'key')}: it is {label}, and was taken for {said} with {chance}.",
            "src": f"data:image/png;base64,{text(one, 'png')}",
            "width": 64,
        },
    )
    return el("li", None, picture, el("span", None, f"{label}, said {said} ({chance})"))
