"""The history: who changed the program, when, and why."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.blocks import paragraph, section
from pellucid.report.markup import Markup, el, join
from pellucid.report.words import Json, event_of, moment, text


def history_section(history: Sequence[Json]) -> Markup:
    """One entry per event: the time, what happened to which version and why, and who did it."""
    entries = []
    for one in history:
        ref, because = text(one, "ref"), text(one, "because")
        what = el("strong", None, event_of(one))
        who = ", ".join(p for p in (text(one, "who"), moment(one)) if p)
        entries.append(
            el(
                "li",
                None,
                el(
                    "div",
                    None,
                    paragraph(what, join([" ", el("code", None, ref)]) if ref else None),
                    paragraph(because) if because else None,
                ),
                paragraph(who, classes="soft") if who else None,
            )
        )
    intro = "Every change of the program, in order; times are UTC; nothing is ever deleted."
    return section("history", "History", intro, el("ol", {"class": "history"}, *entries))
