"""Explanations by words on the terminal: the text with marks, then the largest shares."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pellucid.report.charts.highlight import LARGE, MOST, Piece
from pellucid.report.explained import at, base_of, kind_of, main_output, measures, names, output_title
from pellucid.report.markup import clean
from pellucid.report.numbers import count, finite, number, with_error
from pellucid.report.parts.texts import in_shown_units, pieces_of, said_of_text
from pellucid.report.terminal.explanation import bar
from pellucid.report.terminal.kit import sentences, stack, table
from pellucid.report.words import Json, text

_ROWS = 10  # players in the table


def texts_view(texts: Sequence[Json]) -> Group:
    """Texts one under the other. Args: texts: TextExplanation JSONs; `main` names the output to show."""
    return stack([_view(one) for one in texts])


def _view(one: Json) -> RenderableType:
    values = in_shown_units(one)
    output = main_output(values)
    pieces = pieces_of(one, values, output)
    key = (names(values, "keys") or [""])[0]
    head = Text.assemble((clean(text(values, "task", "task")), "bold"), clean(f" on {key}: {said_of_text(values)}"))
    title, unit = output_title(values, output), text(values, "unit")
    shown = f"shares of {title}{f', in {unit}' if unit not in ('', title) else ''}; ▲ raises it, ▼ lowers it"
    how = (
        f"{kind_of(values)}, {text(values, 'method', 'method not recorded')}; {text(one, 'mask')}; "
        f"{count(values.get('evaluations'), 'text')} asked; seed {text(values, 'seed', '?')}"
    )
    parts: list[RenderableType] = [head, sentences([shown], "dim"), Text(""), marked(pieces), Text("")]
    parts.append(_table(values, pieces, output))
    measured = "; ".join(f"{name} {value}" for name, value in measures(values))
    parts += [sentences([line], "dim") for line in (how, *(f"note: {w}" for w in names(values, "warnings")))]
    if measured:
        parts.append(sentences([f"measured: {measured}"], "dim"))
    return Group(*parts)


def marked(pieces: Sequence[Piece]) -> Text:
    """The text; words with a large share bear a mark and a colour."""
    strongest = max((abs(p.value) for p in pieces if finite(p.value)), default=0.0)
    found = Text("  ")
    for piece in pieces[:MOST]:
        if piece.line:
            found.append("\n  ")
        word = clean(" ".join(piece.text.split()))
        large = finite(piece.value) and strongest and abs(piece.value) >= LARGE * strongest and not piece.vague
        if large:
            found.append(("▲" if piece.value > 0 else "▼") + word, "bold blue" if piece.value > 0 else "bold yellow")
        else:
            found.append(word)
        found.append(" ")
    if len(pieces) > MOST:
        found.append(f"… and {len(pieces) - MOST:,} more")
    return found


def _table(values: Json, pieces: Sequence[Piece], output: int) -> RenderableType:
    players = names(values, "players")
    order = sorted(range(len(pieces)), key=lambda j: -abs(pieces[j].value or 0.0))
    biggest = abs(pieces[order[0]].value or 0.0) if order else 0.0
    rows: list[Sequence[object]] = [(Text("the masked text", style="dim"), number(base_of(values, 0, output)), "")]
    for j in order[:_ROWS]:
        rows.append((players[j], with_error(pieces[j].value, pieces[j].error), bar(pieces[j].value, biggest)))
    rest = [pieces[j].value for j in order[_ROWS:] if finite(pieces[j].value)]
    if rest:
        rows.append((f"{len(rest)} smaller ones", number(float(sum(rest)), signed=True), ""))
    total = number(at(values.get("prediction"), 0, output))
    rows.append((Text("this text", style="bold"), Text(total, style="bold"), ""))
    return table(("word", "share", ""), rows, numeric=(1,))
