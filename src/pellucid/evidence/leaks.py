"""Fields that give the target away: copies, transforms, gaps that follow it, sums that make it up.

A field is told when it alone predicts the target almost perfectly on rows that it was not fitted on. A good field is
not a leak: the thresholds lie above what measured causes reach, and a check says so in words that can be answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.random import stream
from pellucid.data.profile import Finding

__all__ = ["known_after", "one_field_skill", "target_leakage"]

TOLD = 0.98  # normalised balanced accuracy of one field, from which on it gives a class away
TOLD_NUMBER = 0.995  # share of the variance of the target's ranks
STRONG = 0.9  # worth a look
APART = 0.95  # Kolmogorov-Smirnov distance of the target where a field is empty and where it is not
FEWEST = 20  # rows
MOST = 20_000  # rows that are looked at
FOLDS = 5

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
CHECK = "target leakage"


def target_leakage(
    fields: Mapping[str, Array], target: Array, kind: str, *, where: str = "data", seed: int = 0
) -> tuple[list[Finding], list[str]]:
    """Fields that are the target in other clothes, and notes on those that come close.

    Args:
        fields: name -> numbers (NaN where missing) or text ("" where missing), shape (n,).
        target: class names, or numbers, shape (n,).
        kind: "classify" or "regress".
        where: the table's name.
    """
    rows = np.arange(len(target))
    if len(rows) > MOST:
        rows = np.sort(stream(seed, "leaks/rows").permutation(len(rows))[:MOST])
    y = target[rows]
    found: list[Finding] = []
    notes: list[str] = []
    if len(rows) < FEWEST:
        return found, [f"target leakage is not looked for in {len(rows)} rows"]
    for name, values in fields.items():
        x = values[rows]
        if x.ndim != 1:
            continue
        told = _same(x, y, kind) or _gaps(x, y, kind)
        skill = one_field_skill(x, y, kind, seed=seed)
        if not told and skill >= (TOLD if kind == "classify" else TOLD_NUMBER):
            told = f"alone predicts the target almost perfectly (skill {skill:.3f} of 1 on rows left out)"
        if told:
            mend = f"drop '{name}' (data.drop) unless it is known before the target is"
            found.append(Finding(CHECK, f"'{name}' {told}.", f"{where}, column '{name}'", mend))
        elif skill >= STRONG:
            notes.append(f"'{name}' alone reaches {skill:.2f} of the possible skill: is it known before the target?")
    if not found and kind == "regress" and (names := _made_of({n: v[rows] for n, v in fields.items()}, y)):
        listed = ", ".join(map(repr, names))
        mend = "drop those that are known only with the target (data.drop)"
        found.append(Finding(CHECK, f"{listed} make up the target exactly.", where, mend))
    return found, notes


def one_field_skill(x: Array, y: Array, kind: str, *, seed: int = 0) -> float:
    """How well one field predicts the target on rows left out: 0 chance, 1 perfect.

    Classes: balanced accuracy, normalised; numbers: share of the variance of the target's ranks, so that a transform
    counts like a copy.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    n = len(y)
    part = stream(seed, "leaks/folds").permutation(n) % FOLDS
    classes, codes = np.unique(y, return_inverse=True) if kind == "classify" else (np.zeros(0), np.zeros(0))
    if kind == "classify":
        if len(classes) < 2 or np.bincount(codes).min() < FOLDS:
            keep = np.isin(codes, np.flatnonzero(np.bincount(codes) >= FOLDS))
            if len(np.unique(codes[keep])) < 2:
                return 0.0
            return one_field_skill(x[keep], y[keep], kind, seed=seed)
        aim: Floats = codes.astype(np.float64)
    else:
        aim = _ranks(np.asarray(y, dtype=np.float64))
    said = np.zeros(n)
    leaf = max(1, n // 400)
    for k in range(FOLDS):
        train, test = part != k, part == k
        if x.dtype.kind in "OUS":
            said[test] = _looked_up(x[train], aim[train], x[test], kind, len(classes))
            continue
        tree: Any = (
            DecisionTreeClassifier(min_samples_leaf=leaf, max_leaf_nodes=100, random_state=0, class_weight="balanced")
            if kind == "classify"
            else DecisionTreeRegressor(min_samples_leaf=leaf, max_leaf_nodes=200, random_state=0)
        )
        said[test] = tree.fit(x[train][:, None].astype(np.float64), aim[train]).predict(x[test][:, None])
    if kind == "classify":
        right = np.mean([(said[codes == c] == c).mean() for c in range(len(classes))])
        chance = 1 / len(classes)
        return max(0.0, float((right - chance) / (1 - chance)))
    return max(0.0, float(1 - ((aim - said) ** 2).mean() / aim.var())) if aim.var() else 0.0


def _looked_up(x: Array, y: Floats, asked: Array, kind: str, classes: int) -> Floats:
    """Mean (or weighted most frequent class) of the target by word; of all rows for a new word."""
    words, codes = np.unique(x.astype(str), return_inverse=True)
    place = {word: i for i, word in enumerate(words)}
    if kind == "classify":
        counts = np.zeros((len(words), classes))
        np.add.at(counts, (codes, y.astype(int)), 1)
        share = counts / np.maximum(counts.sum(0), 1)
        means, other = share.argmax(1).astype(float), float(counts.sum(0).argmax())
    else:
        means = np.bincount(codes, y) / np.bincount(codes)
        other = float(y.mean())
    return np.asarray([means[place[w]] if w in place else other for w in asked.astype(str)], dtype=np.float64)


def _same(x: Array, y: Array, kind: str) -> str:
    """How a field is the target itself; empty when it is not."""
    if kind == "classify":
        texts = np.asarray([_text(v) for v in x])
        if (texts == y.astype(str)).all():
            return "is a copy of the target"
        pairs = set(zip(texts.tolist(), y.astype(str).tolist(), strict=True))
        one = len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        return "is the target under other names, value by value" if one else ""
    if x.dtype.kind in "OUS":
        return ""
    there = np.isfinite(x)
    a, b = x[there], np.asarray(y, dtype=np.float64)[there]
    if len(a) < FEWEST or len(np.unique(a)) < 3:
        return ""
    if (a == b).all():
        return "is a copy of the target"
    if abs(_correlation(a, b)) > 1 - 1e-9:
        return "is the target times a factor plus a constant"
    return "is an increasing or decreasing transform of the target" if _monotone(a, b) else ""


def _monotone(a: Floats, b: Floats) -> bool:
    return len(np.unique(a)) > 0.5 * len(a) and abs(_correlation(_ranks(a), _ranks(b))) > 1 - 1e-9


def _gaps(x: Array, y: Array, kind: str) -> str:
    """A field that is filled in only once the target is known."""
    empty = (x.astype(str) == "") if x.dtype.kind in "OUS" else ~np.isfinite(x)
    if empty.sum() < 10 or (~empty).sum() < 10:
        return ""
    if kind == "classify":
        for c in np.unique(y):
            mine = y == c
            if min(mine.sum(), (~mine).sum()) >= 10:
                apart = abs(float(empty[mine].mean() - empty[~mine].mean()))
                if apart >= APART:
                    return f"is empty or filled in as the target is '{c}' or not ({apart:.0%} apart)"
        return ""
    from scipy.stats import ks_2samp

    y = np.asarray(y, dtype=np.float64)
    apart = float(ks_2samp(y[empty], y[~empty]).statistic)
    return f"is empty or filled in as the target is large or small ({apart:.0%} apart)" if apart >= APART else ""


def _made_of(fields: Mapping[str, Array], y: Array) -> list[str]:
    """Fields whose weighted sum or product is the target to the last digit; empty when there are none."""
    y = np.asarray(y, dtype=np.float64)
    names = [n for n, v in fields.items() if v.ndim == 1 and v.dtype.kind == "f" and np.isfinite(v).all() and v.std()]
    if not names or len(y) < 3 * (len(names) + 2) or not y.std():
        return []
    x = np.stack([fields[n].astype(np.float64) for n in names], axis=1)
    if weights := _exact(x, y):
        return [names[j] for j in weights]
    positive = [j for j in range(len(names)) if (x[:, j] > 0).all()]
    if positive and (y > 0).all() and np.log(y).std():
        logs = np.log(x[:, positive])
        return [names[positive[j]] for j in _exact(logs[:, logs.std(0) > 0], np.log(y))]
    return []


def _exact(x: Floats, y: Floats) -> list[int]:
    """Columns with weight in a linear equation for y that holds for every row."""
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1.0)
    aim = (y - y.mean()) / y.std()
    weights, *_ = np.linalg.lstsq(z, aim, rcond=1e-10)
    if np.abs(z @ weights - aim).max() > 1e-6:
        return []
    return [int(j) for j in np.flatnonzero(np.abs(weights) > 1e-4)]


def known_after(
    fields: Mapping[str, Array], target: Array | None, *, groups: Array | None = None, where: str = "data"
) -> list[Finding]:
    """Fields that hold what lies in the future of their row, or in another entity.

    Args:
        fields: numbers in the order of time (within each group), shape (n,); text is passed over.
        target: numbers, or None.
        groups: the entity of each row; its rows stand together.
    """
    n = len(next(iter(fields.values()))) if fields else 0
    numeric = {k: v.astype(np.float64) for k, v in fields.items() if v.ndim == 1 and v.dtype.kind == "f"}
    numeric = {k: v for k, v in numeric.items() if len(np.unique(v[np.isfinite(v)])) > 10}
    sources = dict(numeric)
    if target is not None and target.dtype.kind == "f" and len(np.unique(target)) > 10:
        sources["(target)"] = target.astype(np.float64)
    group = np.zeros(n, dtype=np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    found: list[Finding] = []
    if n < 50:
        return found
    for name, a in list(numeric.items())[:40]:
        others = [(other, b) for other, b in list(sources.items())[:40] if other != name]
        causal = any(_window(a, b, group)[0] for _, b in others)
        for other, b in others:
            spoken = "the target" if other == "(target)" else f"'{other}'"
            told = _ahead(a, b, group, of_target=other == "(target)")
            if not told and not causal and _window(a, b, group)[1]:
                told = "averages rows before and after it of"
            if told:
                mend = f"drop '{name}', or compute it from earlier rows"
                found.append(Finding("future", f"'{name}' {told} {spoken}.", f"{where}, column '{name}'", mend))
                break
            if groups is not None and _crosses(a, b, group):
                what = f"'{name}' takes the value of {spoken} in the row before across the border of two groups."
                mend = f"compute '{name}' within each group"
                found.append(Finding("entity isolation", what, f"{where}, column '{name}'", mend))
                break
    return found


def _ahead(a: Floats, b: Floats, group: Array, *, of_target: bool) -> str:
    for k in (1, 2, 3, 5):
        inside = group[:-k] == group[k:]
        now, then = a[:-k][inside], b[k:][inside]
        there = np.isfinite(now) & np.isfinite(then)
        if there.sum() < 30 or not there.mean() > 0.9 or (now[there] != then[there]).mean() > 0.001:
            continue
        steps = a[:-k][inside][there] != b[:-k][inside][there]
        # A lag of one field and the lead of another look alike; who is empty at the end of time is the lead.
        ends = np.flatnonzero(np.append(group[1:] != group[:-1], True))
        if steps.mean() > 0.5 and (of_target or (np.isnan(a[ends]).all() and np.isfinite(a).mean() > 0.5)):
            return f"is, {k} row{'s' if k > 1 else ''} ahead,"
    return ""


def _window(a: Floats, b: Floats, group: Array, reach: int = 3) -> tuple[bool, bool]:
    """Whether a is an exact weighted sum of b up to its row, and whether only of b on both sides of its row."""
    n, width = len(a), 2 * reach + 1
    middle = np.arange(reach, n - reach)[:5000]
    window = np.stack([b[middle + j] for j in range(-reach, reach + 1)], axis=1)
    ok = np.isfinite(window).all(1) & np.isfinite(a[middle]) & (group[middle - reach] == group[middle + reach])
    if ok.sum() < 10 * width:
        return False, False
    x, y = window[ok], a[middle][ok]
    sd = x.std()
    if not sd or not y.std():
        return False, False
    x, y = (x - x.mean(0)) / sd, (y - y.mean()) / y.std()
    weights, *_ = np.linalg.lstsq(x, y, rcond=1e-10)
    if np.abs(x @ weights - y).max() > 1e-6:
        return False, False
    past, *_ = np.linalg.lstsq(x[:, : reach + 1], y, rcond=1e-10)
    left = x[:, : reach + 1] @ past - y
    if np.abs(left).max() <= 1e-6:
        return True, False
    heavy = np.abs(weights) > 1e-4
    both = bool(heavy[reach + 1 :].any() and heavy[: reach + 1].any())
    return False, both and float((left**2).mean()) > 1e-4


def _crosses(a: Floats, b: Floats, group: Array) -> bool:
    """Whether a is b one row before, at the first rows of groups too."""
    first = np.flatnonzero(group[1:] != group[:-1]) + 1
    inside = np.flatnonzero(group[1:] == group[:-1]) + 1
    if not len(first) or len(inside) < 30 or (b[inside] == b[inside - 1]).mean() > 0.5:
        return False
    lagged = np.isfinite(a[inside]) & np.isfinite(b[inside - 1])
    if lagged.mean() < 0.9 or not (a[inside] == b[inside - 1])[lagged].all():
        return False
    return bool((a[first] == b[first - 1]).mean() > 0.5)


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else str(float(value))
    return str(value)


def _ranks(x: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(x) / len(x), dtype=np.float64)


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0
