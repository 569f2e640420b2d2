"""A surrogate: a small decision tree that repeats the program's outputs, with what it gets right on rows held out.

(Craven & Shavlik 1996.) One tree for all outputs, each in units of its deviation. Categories are split off one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import derive, stream
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.explain.columns import Array, Columns, Unit, number
from pellucid.explain.goal import choices_of, decisions

LEAST = 20  # rows


@dataclass(frozen=True, eq=False)
class Leaf:
    """One rule: its conditions, the outputs it says (k,), its decision ("" when none), its share of the rows."""

    conditions: tuple[str, ...]
    outputs: Array
    decision: str
    share: float


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A tree as rules.

    Args:
        leaves: from the largest share down.
        r2: share of each output's variance that it explains on rows held out, shape (k,).
        agreement: share of those rows on which it takes the program's decision; NaN when there are no decisions.
        fitted_n, held_out_n, evaluations, seed: how it was made.
    """

    task: str
    outputs: tuple[str, ...]
    unit: str
    leaves: tuple[Leaf, ...]
    r2: Array
    agreement: float
    fitted_n: int
    held_out_n: int
    evaluations: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        leaves = [
            {
                "if": list(leaf.conditions),
                "outputs": leaf.outputs.tolist(),
                "decision": leaf.decision,
                "share": leaf.share,
            }
            for leaf in self.leaves
        ]
        said = {n: getattr(self, n) for n in ("task", "unit", "fitted_n", "held_out_n", "evaluations", "seed")}
        agreement = None if np.isnan(self.agreement) else self.agreement
        fit = {"r2": self.r2.tolist(), "agreement": agreement}
        return {"kind": "surrogate", **said, "outputs": list(self.outputs), "leaves": leaves, **fit}

    def text(self) -> str:
        """The rules, and how far they can be trusted."""
        lines = [f"{self.task}: a tree in the place of the program"]
        for leaf in self.leaves:
            said = leaf.decision or ", ".join(f"{o} {v:.4g}" for o, v in zip(self.outputs, leaf.outputs, strict=True))
            lines.append(f"  {leaf.share:4.0%}  {' and '.join(leaf.conditions) or 'always'}: {said}")
        fit = "" if np.isnan(self.agreement) else f"decides as the program on {self.agreement:.0%}; "
        r2 = ", ".join(f"{o} {v:.2f}" for o, v in zip(self.outputs, self.r2, strict=True))
        return "\n".join([*lines, f"  on {self.held_out_n} rows held out: {fit}R² {r2}"])


def fit_surrogate(
    program: Program, rows: Rows, task: str, *, leaves: int = 8, held_out: float = 0.3, seed: int = 0
) -> Surrogate:
    """A tree of at most `leaves` leaves that repeats the program on rows.

    Args:
        rows: on which the program is asked; their truth is not used.
        held_out: share of the rows on which the tree is judged.
    Raises:
        DataError: fewer than 20 rows, or a share outside (0, 1).
    """
    from sklearn.tree import DecisionTreeRegressor

    where = "explain.fit_surrogate(...)"
    columns = Columns(program, task, where=where)
    known = columns.reference(rows)
    if len(known) < LEAST or not 0 < held_out < 1 or leaves < 2:
        raise DataError(
            f"{len(known)} rows, {leaves} leaves, {held_out} held out: no tree.",
            where=where,
            mend=f"give {LEAST} rows, two leaves and a share between 0 and 1 at least",
        )
    features, names = _features(known, columns.units())
    outputs = columns.outputs(known)
    scale = np.where(outputs.std(0) > 0, outputs.std(0), 1.0)
    order = stream(seed, "explain/surrogate").permutation(len(known))
    cut = max(1, round(held_out * len(known)))
    test, train = order[:cut], order[cut:]
    tree = DecisionTreeRegressor(
        max_leaf_nodes=leaves, min_samples_leaf=5, random_state=derive(seed, "explain/surrogate")
    )
    tree.fit(features[train], outputs[train] / scale)
    said = tree.predict(features[test]).reshape(len(test), -1) * scale
    truth = outputs[test]
    total = np.square(truth - truth.mean(0)).sum(0)
    r2 = np.where(total > 0, 1.0 - np.square(truth - said).sum(0) / np.where(total > 0, total, 1.0), 1.0)
    decides = choices_of(columns.task)
    same = float((decisions(columns.task, said) == decisions(columns.task, truth)).mean()) if decides else float("nan")
    return Surrogate(
        task=task,
        outputs=columns.task.outputs,
        unit=columns.task.unit,
        leaves=_leaves(tree.tree_, names, scale, columns),
        r2=r2,
        agreement=same,
        fitted_n=len(train),
        held_out_n=len(test),
        evaluations=columns.evaluations,
        seed=seed,
    )


def _features(known: Array, units: list[Unit]) -> tuple[npt.NDArray[np.float64], list[tuple[str, str]]]:
    """Columns that can be split, and of each its name and, of a category, the word."""
    found, names = [], []
    for unit in units:
        if unit.kind == "category":
            for code, word in enumerate(unit.field.categories):
                found.append((known[:, unit.columns[0]] == code).astype(np.float64))
                names.append((unit.name, word))
        elif unit.kind == "number":
            found.append(known[:, unit.columns[0]])
            names.append((unit.name, ""))
        else:
            found.append(known[:, unit.columns].mean(1))
            names.append((f"mean of {unit.name}", ""))
    return np.stack(found, axis=1), names


def _leaves(tree: Any, names: list[tuple[str, str]], scale: Array, columns: Columns) -> tuple[Leaf, ...]:
    choices, found = choices_of(columns.task), []
    read = {field.name: field for field in columns.fields}

    def walk(node: int, bounds: dict[str, tuple[float, float]], words: tuple[str, ...]) -> None:
        if tree.children_left[node] < 0:
            outputs = tree.value[node].reshape(-1) * scale
            decision = choices[int(decisions(columns.task, outputs[None])[0])] if choices else ""
            conditions = (*(_said(name, *ends, read.get(name)) for name, ends in bounds.items()), *words)
            found.append(Leaf(conditions, outputs, decision, float(tree.n_node_samples[node] / tree.n_node_samples[0])))
            return
        name, word = names[tree.feature[node]]
        at = float(tree.threshold[node])
        low, high = bounds.get(name, (-np.inf, np.inf))
        if word:
            walk(tree.children_left[node], bounds, (*words, f"{name} is not {word}"))
            walk(tree.children_right[node], bounds, (*words, f"{name} is {word}"))
        else:
            walk(tree.children_left[node], {**bounds, name: (low, min(high, at))}, words)
            walk(tree.children_right[node], {**bounds, name: (max(low, at), high)}, words)

    walk(0, {}, ())
    return tuple(sorted(found, key=lambda leaf: -leaf.share))


def _said(name: str, low: float, high: float, field: Field | None) -> str:
    below, above = (number(field.as_read(end) if field else end) for end in (low, high))
    if np.isinf(low):
        return f"{name} <= {above}"
    return f"{name} > {below}" if np.isinf(high) else f"{below} < {name} <= {above}"
