"""Evidence: the same program judged on folds that its training never saw, beside baselines, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.assemble import Problem, problem
from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import TABLE_KINDS, Task
from pellucid.data.columns import side_by_side
from pellucid.data.declared import unseen
from pellucid.data.reading import release
from pellucid.evidence.baselines import ALL as BASELINES
from pellucid.evidence.baselines import Answer, PriceContext, SeriesContext, TableContext, answer, offered, spoken
from pellucid.evidence.entry import FoldRows, joined, task_entry
from pellucid.evidence.finance import trading_summary
from pellucid.evidence.folds import Fold, stratified_folds
from pellucid.evidence.metrics import coded, is_constant
from pellucid.nn.program import NetworkProgram
from pellucid.runs.artefact import load_program, load_spec
from pellucid.runs.dividing import way
from pellucid.runs.elsewhere import entry_alone, given_extra, own_problem
from pellucid.runs.encoded import columns_of, encoded, fewer, texts_of
from pellucid.runs.fair import fairness_extra
from pellucid.runs.form_evidence import also_judged
from pellucid.runs.horizons import horizons_extra
from pellucid.runs.judge_policy import judge_episodes
from pellucid.runs.moments import block_of
from pellucid.runs.outputs import outputs_table
from pellucid.runs.pictured import worst_pictures
from pellucid.runs.policies import forecasts, on_rows, trades
from pellucid.runs.table_evidence import LEVEL, MOST, table_extra
from pellucid.spec.series import SeriesData
from pellucid.store.records import Entry
from pellucid.store.store import Store

Floats = npt.NDArray[np.float64]

MANY = 100_000  # rows from which on memory is given back between the parts of a fit


@dataclass
class FoldResult:
    """A program with the fold that it was trained and tested on (positions among `Problem.rows`).

    Args:
        rivals: other programs of the same fold, by the name under which they stand beside it in the evidence.
    """

    fold: Fold
    program: NetworkProgram
    rivals: Mapping[str, NetworkProgram] = field(default_factory=dict)


@dataclass
class Collected:
    """What one task gathers over the folds."""

    losses: list[Floats] = field(default_factory=list)
    outputs: list[Floats] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    folds: list[FoldRows] = field(default_factory=list)
    tables: list[pd.DataFrame] = field(default_factory=list)


Entries = list[dict[str, Any]]


def tidy(rows: Rows) -> None:
    """Between the parts of a fit on many rows: what one of them freed goes back to the system before the next asks."""
    if len(rows) > MANY:
        release()


def judge_folds(prob: Problem, results: list[FoldResult], *, trials: int = 1) -> tuple[Entries, Entries]:
    """Evidence entries of every task, and wealth curves of those that trade."""
    assert prob.rows is not None
    evidence, entries, wealth = prob.spec.evidence, [], []
    for name, declared in results[0].program.tasks.items():
        if not on_rows(declared):
            entries.append(judge_episodes(prob, results[-1].program, declared))
            continue
        got = Collected()
        for result in results:
            _collect(prob, result, result.program.tasks[name], got)
            tidy(prob.rows)
        losses, count = np.concatenate(got.losses), 0
        parts: list[Index] = []
        for part in got.losses:
            parts.append(np.arange(count, count + len(part)))
            count += len(part)
        answers = [joined(found) for found in got.answers.values()]
        extra: dict[str, Any] = {}
        if trades(declared):
            decided = np.concatenate([t["position"].to_numpy() for t in got.tables])
            extra = trading_summary(-losses, decided, block=evidence.block, seed=prob.spec.seed, trials=trials)
            wealth.append(_wealth(declared, got, answers))
        elif declared.kind == "horizons":
            judged = prob.rows.take(np.concatenate([fold.rows for fold in got.folds]))
            whole = np.concatenate(got.outputs)
            extra = horizons_extra(declared, judged, whole, answers, block=block_of(prob), seed=prob.spec.seed)
        elif prob.rows.times is None and declared.kind in TABLE_KINDS:
            extra = _of_table(prob, results, declared, got, parts, answers)
        entries.append(
            task_entry(
                declared,
                losses,
                answers,
                block=block_rows(prob),
                margin=evidence.margin,
                seed=prob.spec.seed,
                constant=is_constant(np.concatenate(got.outputs), parts),
                folds=[FoldRows(f.train, f.test, rows) for f, rows in zip(got.folds, parts, strict=True)],
                extra=extra,
            )
        )
    return entries, wealth


def block_rows(prob: Problem) -> int:
    """Mean length of the bootstrap's blocks, rows; 1 for rows without an order in time."""
    if isinstance(prob.spec.data, SeriesData):
        return block_of(prob)
    timed = prob.rows is not None and prob.rows.times is not None
    return prob.spec.evidence.block if timed or way(prob.spec) == "walk_forward" else 1


def _of_table(
    prob: Problem, results: list[FoldResult], task: Task, got: Collected, parts: list[Index], answers: list[Answer]
) -> dict[str, Any]:
    """Calibration, slices and curves of a task on a table, on at most 50,000 rows."""
    assert prob.rows is not None
    # A fold's conformal threshold comes from the other folds.
    kept = [(result.program.tasks[task.name].options.get("conformal") or {}) for result in results]
    limits = np.concatenate(
        [np.full(len(rows), float(one.get(f"{LEVEL:g}", np.nan))) for one, rows in zip(kept, parts, strict=True)]
    )
    tested, table = np.concatenate([fold.rows for fold in got.folds]), pd.concat(got.tables, ignore_index=True)
    drawn = np.arange(len(tested))
    if len(drawn) > MOST:
        drawn = np.sort(stream(prob.spec.seed, "evidence/table").permutation(drawn)[:MOST])
    own = results[0].program.tasks[task.name]
    rows = prob.rows.take(tested[drawn])
    found = table_extra(own, rows, table.iloc[drawn], limits[drawn], seed=prob.spec.seed)
    found |= worst_pictures(own, results[0].program.schema.inputs, rows, table.iloc[drawn])
    found |= also_judged(own, table["y"].to_numpy(), np.concatenate(got.outputs), answers)
    sensitive = getattr(prob.spec.data, "sensitive", [])
    if sensitive:
        found["fairness"] = fairness_extra(
            results[-1].program, own, rows, table.iloc[drawn], sensitive, seed=prob.spec.seed
        )
    return found


def _collect(prob: Problem, result: FoldResult, task: Task, got: Collected) -> None:
    assert prob.rows is not None
    table = outputs_table(result.program, task, prob.rows.take(result.fold.test))
    scored = np.flatnonzero(np.isfinite(table["loss"].to_numpy(dtype=float)))
    table, test = table.iloc[scored], result.fold.test[scored]
    got.tables.append(table)
    got.losses.append(table["loss"].to_numpy(dtype=float))
    if trades(task):
        # The value head moves even when the policy does not: what must not be constant is the position.
        got.outputs.append(table["position"].to_numpy(dtype=float)[:, None])
    else:
        got.outputs.append(table[[c for c in table if str(c).startswith("out:")]].to_numpy(dtype=float))
    context = _context(prob, result, task, test)
    for name in offered(task):
        got.answers.setdefault(name, []).append(_answer(task, name, context))
    for name, rival in result.rivals.items():
        shown = outputs_table(rival, task, prob.rows.take(test))
        out = shown[[c for c in shown if str(c).startswith("out:")]].to_numpy(dtype=float)
        got.answers.setdefault(name, []).append(
            Answer(name, "model", out, shown["loss"].to_numpy(dtype=float), "the same fit without a start")
        )
    got.folds.append(FoldRows(_span(prob.rows, result.fold.train), _span(prob.rows, test), test))


def _answer(task: Task, name: str, context: PriceContext | TableContext | SeriesContext) -> Answer:
    """A baseline's answer; of a policy that forecasts, the medians of the forecasting baselines, in percent."""
    if not forecasts(task):
        return answer(task, name, context)
    found = answer(replace(task, kind="forecast", options={"quantiles": [0.5]}), name, context)
    return found if found.losses is None else replace(found, losses=1e4 * found.losses)


def _context(prob: Problem, result: FoldResult, task: Task, test: Index) -> PriceContext | TableContext | SeriesContext:
    rows, train = prob.rows, result.fold.train
    assert rows is not None
    if task.kind == "horizons":
        return SeriesContext.from_rows(rows, train, test, task)
    if rows.times is not None:
        horizon = int(task.options.get("horizon", 5))
        cost = float(task.options.get("cost_bps", 0.0)) * 1e-4
        return PriceContext.from_rows(rows, train, test, horizon=horizon, cost=cost)

    def matrix(index: Index) -> Floats:
        return encoded(result.program, task, rows, index)

    y = coded(rows.targets[task.options["target"]], task)
    train = fewer(train, columns_of(result.program, task, rows), prob.spec.seed)
    texts, plain = texts_of(result.program, task, rows.take(train), rows.take(test))
    return TableContext(matrix(train), y[train], matrix(test), y[test], prob.spec.seed, texts, plain)


def _span(rows: Rows, index: Index) -> str:
    if rows.times is None:
        return f"{len(index):,} rows"
    return f"{rows.times[index[0]]}..{rows.times[index[-1]]}"


def _wealth(task: Task, got: Collected, answers: list[Answer]) -> dict[str, Any]:
    days = np.concatenate([t["time"].to_numpy().astype("datetime64[D]").astype(str) for t in got.tables])
    losses = {"this program": np.concatenate(got.losses)}
    losses |= {spoken(a.name): a.losses for a in answers if a.losses is not None and a.name != "cash"}
    # About 400 points draw the same picture as three thousand.
    shown = np.unique(np.linspace(0, len(days) - 1, min(400, len(days))).astype(int))
    return {
        "title": f"{task.name}: wealth on test folds, after {task.options['cost_bps']:g} bp a trade",
        "unit": "wealth, fixed notional, start = 1",
        "start": 1.0,
        "x": [str(days[i]) for i in shown],
        "series": [{"name": n, "y": [float(v) for v in (1.0 - np.cumsum(x))[shown]]} for n, x in losses.items()],
    }


def judge_table(program: Program, task: Task, rows: Rows, *, seed: int, margin: float) -> dict[str, Any]:
    """A program from elsewhere on labelled rows, beside baselines that are cross-fitted on these very rows."""
    if task.kind not in TABLE_KINDS:
        raise DataError(
            f"a {task.kind} program cannot be judged on a table.",
            where="evaluate(data, target)",
            mend="give the environment in which it acts: evaluate(env=...)",
        )
    table = outputs_table(program, task, rows)
    y = rows.targets[str(task.options.get("target", task.name))]
    codes = coded(y, task)
    blocks = program.encode(rows)
    x = side_by_side(blocks[name] for name in task.inputs).astype(np.float64)
    folds = stratified_folds(codes if task.kind in ("classify", "ordinal") else np.zeros(len(codes)), 5, seed)
    contexts = [TableContext(x[f.train], codes[f.train], x[f.test], codes[f.test], seed) for f in folds]
    naive = next(name for name, baseline in BASELINES[task.form].items() if baseline.role == "naive")
    names = (naive, "linear", "hist_gradient_boosting")
    asked = offered(replace(task, baselines=names))
    answers = [joined([answer(task, name, context) for context in contexts]) for name in asked]
    order = np.concatenate([f.test for f in folds])
    table = table.iloc[order]
    extra = given_extra(program, task, rows.take(order), table, answers, seed=seed)
    return task_entry(task, table["loss"].to_numpy(dtype=float), answers, margin=margin, seed=seed, extra=extra)


def judge_elsewhere(store: Store, entry: Entry, source: Any) -> dict[str, Any]:
    """A version's metrics on other rows, beside baselines fitted on the rows that it was trained on.

    Rows that its training touched are left out and counted; what the version keeps is not changed.
    """
    program, spec = load_program(store, entry), load_spec(store, entry)
    blobs: dict[str, str] = entry.manifest["blobs"]
    other = problem(spec, source)
    own, absent = own_problem(spec)
    if other.rows is None:
        raise DataError(
            f"'{entry.ref}' was learned from an environment, not from rows.",
            where="evaluate --data",
            mend=f"pellucid evaluate {entry.ref}",
        )
    touched = store.blobs.get_table(blobs["touched"])["key"].to_numpy().astype(str)
    trained = store.blobs.get_table(blobs["trained"])["key"].to_numpy().astype(str)
    own_rows = None if own is None else own.rows
    clean = np.flatnonzero(~_seen(own_rows, other.rows, touched))
    if not len(clean):
        raise DataError(
            "every one of these rows was touched by the version's own training.",
            where="evaluate --data",
            mend="give rows that it has not seen",
        )
    train = np.flatnonzero(np.isin(own_rows.keys, trained)) if own_rows is not None else np.zeros(0, dtype=np.int64)
    if not len(train):
        own_rows, absent = None, absent or "none of the rows that it was trained on is in its data any more"
    entries = []
    for task in program.tasks.values():
        if not on_rows(task):
            continue
        table = outputs_table(program, task, other.rows.take(clean))
        scored = np.flatnonzero(np.isfinite(table["loss"].to_numpy(dtype=float)))
        table, rows = table.iloc[scored], other.rows.take(clean[scored])
        answers = []
        if task.kind == "horizons":
            answers = _series_answers(task, other.rows, clean[scored])
        elif own_rows is not None and other.rows.times is None:
            answers = _table_answers(program, task, own_rows.take(train), rows, spec.seed)
        elif own_rows is not None:
            answers = _price_answers(task, own_rows.take(train), other.rows.take(clean), len(scored))
        extra: dict[str, Any] = {}
        if task.kind in TABLE_KINDS:
            sensitive = getattr(spec.data, "sensitive", [])
            extra = given_extra(program, task, rows, table, answers, sensitive=sensitive, seed=spec.seed)
        losses, block = table["loss"].to_numpy(dtype=float), block_rows(other)
        if answers:
            margin = spec.evidence.margin
            entries.append(task_entry(task, losses, answers, block=block, margin=margin, seed=spec.seed, extra=extra))
        else:
            entries.append(entry_alone(task, losses, absent, block=block, seed=spec.seed, extra=extra))
    skipped = len(other.rows) - len(clean)
    return {
        "program": entry.ref,
        "tasks": entries,
        "controls": [],
        "notes": [
            *([f"{skipped} rows were touched by its training and are left out"] if skipped else []),
            *([f"no baselines: {absent}"] if own_rows is None else []),
            *([note for note in other.notes if "quarantine" in note] if other.quarantine else []),
            *(
                f"'{name}' holds values that training did not know in {count} rows"
                for name, count in unseen(other.rows.take(clean), program.schema.inputs).items()
            ),
        ],
        "seed": spec.seed,
    }


def _table_answers(program: Program, task: Task, train: Rows, test: Rows, seed: int) -> list[Answer]:
    """Baselines on other rows, fitted on those that the program was trained on."""
    y_train, y = (coded(rows.targets[task.options["target"]], task) for rows in (train, test))
    shown = (program.encode(rows) for rows in (train, test))
    x_train, x = (side_by_side(blocks[name] for name in task.inputs).astype(np.float64) for blocks in shown)
    context = TableContext(x_train, y_train, x, y, seed, *texts_of(program, task, train, test))
    return [answer(task, name, context) for name in offered(task)]


def _seen(own: Rows | None, other: Rows, touched: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which other rows the training touched: by key, and prices by day and close too, as their file may be renamed."""
    by_key: npt.NDArray[np.bool_] = np.isin(other.keys, touched)
    if own is None or own.times is None or other.times is None or "close" not in own.extra:
        return by_key
    mine = np.isin(own.keys, touched)
    known = set(zip(own.times[mine].astype(str), own.extra["close"][mine].tolist(), strict=True))
    days = zip(other.times.astype(str), other.extra["close"].tolist(), strict=True)
    return by_key | np.asarray([day in known for day in days], dtype=np.bool_)


def _series_answers(task: Task, rows: Rows, test: Index) -> list[Answer]:
    """Baselines on later moments of series: fitted on what came a horizon before the first of them."""
    step = rows.extra["step"]
    known = np.isfinite(rows.targets[task.options["target"]]).any(1)
    train = np.flatnonzero(known & (step < step[test].min() - int(task.options["horizon"])))
    if not len(train):
        return []
    context = SeriesContext.from_rows(rows, train, test, task)
    return [answer(task, name, context) for name in task.baselines]


def _price_answers(task: Task, train: Rows, test: Rows, scored: int) -> list[Answer]:
    """Baselines on another stretch of days: fitted on the training days, placed before the test days."""
    returns = np.log1p(np.concatenate([train.extra["simple_return"], test.extra["simple_return"]]).astype(np.float64))
    cost = float(task.options.get("cost_bps", 0.0)) * 1e-4
    days = np.arange(len(train), len(train) + scored)
    context = PriceContext(returns, np.arange(len(train)), days, int(task.options.get("horizon", 5)), cost)
    return [_answer(task, name, context) for name in task.baselines]
