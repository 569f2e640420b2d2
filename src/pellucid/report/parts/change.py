"""The change: a person's corrections, and the behaviour diff that they led to."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.blocks import card, chip, details, estimate, facts, figure, listed, paragraph, section, table
from pellucid.report.charts import (
    Estimate,
    Moved,
    Shift,
    flip_chart,
    interval_chart,
    moved_chart,
    share_bar,
    shift_chart,
)
from pellucid.report.markup import Markup, el, join
from pellucid.report.numbers import count, decimals_for, finite, number, percent, typeset, typeset_sentence
from pellucid.report.svg import responsive
from pellucid.report.units import in_units, metric_unit, target_unit, times, what_came
from pellucid.report.words import (
    Json,
    budget_of,
    cost_sentence,
    diff_sentences,
    diff_verdict,
    flat,
    flip_sentence,
    items,
    moment,
    notes_of,
    passed_of,
    promises,
    text,
    verdict_of,
)


def corrections_section(corrections: Sequence[Json]) -> Markup:
    """What a person asked for, why, and who it was."""
    cards = []
    for one in corrections:
        asked = " ".join(p for p in (text(one, "kind", "feedback"), text(one, "target")) if p)
        who = ", ".join(p for p in (text(one, "who"), moment(one)) if p)
        reason = text(one, "reason") or text(one, "because")
        known = [("Applies to", text(one, "scope")), ("Task", text(one, "task")), ("State", text(one, "state"))]
        cards.append(
            card(
                asked,
                (el("span", {"class": "soft"}, who),) if who else (),
                el("blockquote", None, reason) if reason else paragraph("No reason was given.", classes="soft"),
                facts([(name, value) for name, value in known if value]),
            )
        )
    intro = "What a person said after reading the explanations. The change below was trained to honour it."
    return section("correction", "Correction", intro, *cards)


def diff_section(diff: Json, *, alone: bool = False) -> Markup:
    """The behaviour diff of two versions; `alone`: on a page whose head says the verdict already."""
    intro = (
        "Both versions were asked about the same review rows, which neither was trained on, and are compared row by "
        "row."
    )
    headline, *rest = diff_sentences(diff)
    top = card(
        "In short" if alone else headline,
        () if alone else (chip(*diff_verdict(diff)),),
        _because(diff),
        listed([typeset_sentence(sentence) for sentence in rest]),
        *(paragraph(flat(note), classes="soft") for note in notes_of(diff)),
    )
    if diff.get("empty"):
        return section("diff", "Behaviour diff", intro, top)
    tasks = items(diff, "tasks")
    return section(
        "diff",
        "Behaviour diff",
        intro,
        top,
        _gates(items(diff, "gates")),
        _metrics(diff, tasks) if tasks else None,
        *(_task(diff, task) for task in tasks if task.get("flips") or task.get("attribution")),
        _parameters(diff.get("parameters") or {}, diff.get("provenance") or {}),
    )


def _because(diff: Json) -> Markup | None:
    because = [flat(reason) for reason in diff.get("because") or []]
    line = paragraph("The reason that was given:", classes="soft")
    return join([line, *(el("blockquote", None, reason) for reason in because)]) if because else None


def _gates(gates: list[Json]) -> Markup | None:
    """A line per promise, a column per task; what was asked stands under the promise, or in the cells if it differs."""
    if not gates:
        return None
    tasks = list(dict.fromkeys(text(gate, "task") for gate in gates))
    rows: list[tuple[object, ...]] = []
    for title, group in promises(gates):
        asked = {text(gate, "required") for gate in group}
        common = typeset_sentence(asked.pop()) if len(asked) == 1 else ""
        name = join([title, el("span", {"class": "under"}, common) if common else None])
        cells = []
        for task in tasks:
            mine = [gate for gate in group if text(gate, "task") == task]
            cells.append(join([_gate(gate, bool(common)) for gate in mine]) if mine else "")
        rows.append((name, *cells))
    narrow = [_promise(title, group) for title, group in promises(gates)]
    line = "What was promised before the change was trained, and what came. Every gate must pass."
    if any("do(" in text(gate, "title") for gate in gates):
        line += " The effect of do(x): how far outputs move, in standard deviations, when x alone is another row's."
    head = ("Promise", *(task or "Result" for task in tasks))
    grid = el("div", {"class": "wide"}, table("Gates, task by task", head, rows))
    return card("Gates", (), paragraph(line), grid, el("div", {"class": "narrow"}, *narrow))


def _promise(title: str, gates: list[Json]) -> Markup:
    """One promise on a narrow page: a line per task."""
    asked = {text(gate, "required") for gate in gates}
    common = len(asked) == 1
    caption = f"{title}: {typeset_sentence(asked.pop())}" if common else title
    return table(caption, ("Task", "What came"), [(text(gate, "task"), _gate(gate, common)) for gate in gates])


def _gate(gate: Json, common: bool) -> Markup:
    asked = "" if common else typeset_sentence(text(gate, "required"))
    seen = el("span", {"class": "under plain"}, typeset_sentence(text(gate, "seen")))
    return join([chip(*passed_of(gate)), seen, el("span", {"class": "under"}, asked) if asked else None])


def _metrics(diff: Json, tasks: list[Json]) -> Markup:
    rows = []
    for raw in tasks:
        task = in_units(raw)
        places = decimals_for(task.get("low"), task.get("high"))
        budget = budget_of(diff, task)
        rows.append(
            (
                text(task, "task"),
                join([str(metric_unit(raw)), el("span", {"class": "under"}, f"{text(task, 'better')} is better")]),
                typeset(number(task.get("base"), decimals=places)),
                typeset(number(task.get("candidate"), decimals=places)),
                estimate(task.get("change"), task.get("low"), task.get("high"), signed=True),
                count(task.get("n")),
                join([chip(*verdict_of(task)), el("span", {"class": "under"}, budget) if budget else None]),
            )
        )
    head = ("Task", "Metric", "Base", "Candidate", "Change [interval]", "n", "Verdict")
    line = "A correction often costs a little on ordinary data; its budget, if it has one, says how much it may cost."
    body = table("Metrics of base and candidate on the same rows", head, rows, numeric=(2, 3, 4, 5))
    return card("Metrics", (), paragraph(line) if items(diff, "gates") else None, body, _outputs(tasks))


def _outputs(tasks: list[Json]) -> Markup | None:
    rows = [
        (
            f"{text(task, 'task')}: {text(o, 'name')}",
            typeset(number(o.get("correlation"))),
            _moved_by(task, o.get("mean_abs_change")),
        )
        for task in tasks
        for o in items(task, "outputs")
    ]
    head = ("Output", "Correlation with the base", "Mean absolute change")
    return (
        details(f"Raw outputs ({len(rows)})", table("How far raw outputs moved", head, rows, numeric=(1, 2)))
        if rows
        else None
    )


def _moved_by(task: Json, change: object) -> str:
    """How far an output moved; log-returns in basis points."""
    return f"{number(times(change, 1e4))} bp" if text(task, "unit") == "log return" else number(change)


def _task(diff: Json, raw: Json) -> Markup:
    """What changed in one task: its metric, its decisions, what its answers rest on."""
    name, players = text(raw, "task", "task"), items(raw, "attribution")
    left = [_change(raw, name), _flips(raw, name) if raw.get("flips") else None]
    right = [_moved(players, name)] if players else []
    return card(
        name,
        (chip(*verdict_of(raw)), el("span", {"class": "soft"}, budget_of(diff, raw))),
        el("div", {"class": "pair"}, el("div", None, *left), el("div", None, *right) if right else None),
        _examples(raw, name),
        _noise(players, name) if players else None,
    )


def _change(raw: Json, name: str) -> Markup:
    task, unit = in_units(raw), metric_unit(raw)
    title = f"{name}: change of {unit.label}"
    rows = [Estimate("candidate minus base", task.get("change"), task.get("low"), task.get("high"))]
    axis = f"{unit}; {unit.better} is better"
    picture = responsive(lambda width: interval_chart(title, rows, unit=axis, zero=True, width=width), 480)
    line = f"Candidate minus base on the same rows; {'left' if unit.better == 'lower' else 'right'} of zero is better."
    return figure(picture, f"Change of {unit.label}.", line)


def _flips(raw: Json, name: str) -> Markup:
    flips: Json = raw.get("flips") or {}
    numbers = (flips.get("n"), flips.get("to_better"), flips.get("to_worse"), flips.get("changed"))
    picture = responsive(lambda width: flip_chart(f"{name}: decisions that changed", *numbers, width=width), 480)
    return figure(picture, "Decisions that changed.", flip_sentence(raw).partition(": ")[2])


def _examples(raw: Json, name: str) -> Markup | None:
    examples = items(raw.get("flips") or {}, "examples")
    came = target_unit(raw)[0]
    rows = [
        (text(e, "key"), flat(e.get("from")), flat(e.get("to")), typeset_sentence(what_came(raw, e.get("y"))))
        for e in examples
    ]
    head = ("Row", "From", "To", came[:1].upper() + came[1:])
    caption = f"{name}: decisions that changed, largest consequence first"
    return details(f"Examples ({len(rows)})", table(caption, head, rows)) if rows else None


def _moved(players: list[Json], name: str) -> Markup:
    rows = [
        Moved(text(p, "player"), p.get("base"), p.get("candidate"), bool(p.get("shown", True)))
        for p in sorted(players, key=lambda p: -abs(p["shift"]) if finite(p.get("shift")) else 0.0)
    ]
    title = f"{name}: what the answers rest on, before and after"
    picture = responsive(
        lambda width: moved_chart(title, rows, unit="% of all attribution of the base", width=width), 480
    )
    line = "Open square: base; circle: candidate. Grey names moved by less than the explainer's own noise."
    return figure(picture, "What the answers rest on.", line)


def _noise(players: list[Json], name: str) -> Markup:
    """How far attributions moved on a row, beside what the explainer moves by itself."""
    title = f"{name}: shift of attributions on a row"
    drawn = [Shift(text(p, "player"), p.get("shift"), p.get("noise"), bool(p.get("shown", True))) for p in players]
    picture = responsive(lambda width: shift_chart(title, drawn, width=width), 480)
    line = (
        "Mean change of an input's share on a row. The grey band is what the explainer itself moves under another seed."
    )
    rows = [
        (
            text(p, "player"),
            *(percent(p.get(key)) for key in ("base", "candidate", "shift", "noise")),
            "moved" if p.get("shown", True) else "within noise",
        )
        for p in players
    ]
    head = ("Input", "Base", "Candidate", "Mean shift", "Noise", "Reading")
    caption = f"{name}: attributions as shares of the base's"
    body = table(caption, head, rows, numeric=(1, 2, 3, 4))
    return details("Attributions against the explainer's noise", figure(picture, "Shift against noise.", line), body)


def _parameters(parameters: Json, provenance: Json) -> Markup | None:
    """How much of the program was touched, and where both sides come from."""
    share, known = parameters.get("share"), _provenance(provenance)
    if not parameters and known is None:
        return None
    picture = share_bar("Share of the parameters that the change touches", share) if finite(share) else None
    line = f"{percent(share)} of the parameters; the rest is bit-identical to the base."
    return card(
        "What the change touches",
        (),
        paragraph(cost_sentence(parameters)) if parameters else None,
        figure(picture, "Share.", line) if picture else None,
        known,
    )


def _provenance(provenance: Json) -> Markup | None:
    tables = []
    for side in ("base", "candidate"):
        raw = provenance.get(side) or {}
        if raw:
            rows = [(str(key), el("code", None, flat(value))) for key, value in raw.items()]
            tables.append(table(f"Provenance of the {side}", ("What", "Value"), rows))
    return details("Provenance", *tables) if tables else None
