"""A filmed episode: a strip of frames that stands still, and the moving picture for whoever asks for it.

Nothing moves by itself: who would rather see no motion, and who reads on paper, loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.blocks import card, details, figure, paragraph, section
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import count, number
from pellucid.report.words import Json, text


def film_section(films: Sequence[Json]) -> Markup:
    """One card per policy; a line where there is no film."""
    intro = "One greedy episode on a seed that it was not trained on: the first that the evidence counts."
    return section("film", "An episode", intro, *(_film(film) for film in films))


def _film(film: Json) -> Markup:
    task = text(film, "task", "policy")
    if not film.get("gif"):
        return paragraph(f"{task}: no film. {text(film, 'note')}", classes="soft")
    total = float(film["return"])
    earned = number(total, decimals=0 if total.is_integer() else None)
    told = f"{text(film, 'env')}, seed {film['seed']}: a return of {earned} in {count(int(film['steps']))} steps"
    told += "." if film.get("whole", True) else ", where the film is cut."
    still = el(
        "img",
        {
            "class": "still",
            "alt": f"Frames of an episode of {text(film, 'env')}, in order, from its beginning to its end.",
            "src": f"data:image/png;base64,{film['still']}",
        },
    )
    moving = el(
        "img",
        {
            "alt": f"Animation of the same episode: {told}",
            "src": f"data:image/gif;base64,{film['gif']}",
        },
    )
    size = len(str(film["gif"])) * 3 // 4000
    return card(task, (), figure(still, "Frames in order.", told), details(f"Play it ({size} kB, repeats)", moving))
