"""A fit that begins with a version of the store, and its comparison with one that begins with nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pellucid.assemble import Assembly, Problem, assemble
from pellucid.assemble.transfer import start_of
from pellucid.core.errors import DataError, SpecError
from pellucid.evidence.folds import Fold
from pellucid.nn.program import NetworkProgram
from pellucid.runs.artefact import load_network
from pellucid.runs.calibrating import calibrated
from pellucid.runs.judge import FoldResult
from pellucid.store.store import Store

NOTHING = "from_nothing"  # the rival's name in the evidence


def starting(prob: Problem, store: Store) -> Problem:
    """The problem with the version that its spec begins with.

    Raises:
        UnknownVersion: there is none of that name.
        SpecError: an environment is learned, or the version has deltas, which are no tensors of its base.
    """
    ref = prob.spec.train.transfer.start
    if ref is None:
        return prob
    if prob.rows is None:
        raise SpecError(
            f"'{prob.spec.name}' learns from an environment; a start from another version is for data.",
            where="train.transfer.start",
            mend="leave it out",
        )
    entry = store.resolve(ref)
    program = load_network(store, entry, what="start from")
    if program.deltas:
        raise SpecError(
            f"'{entry.ref}' is a corrected version: its deltas lie outside the weights that a fit could begin with.",
            where="train.transfer.start",
            mend="start from the version that was corrected",
        )
    seen = entry.manifest["blobs"].get("touched")
    touched = [] if seen is None else store.blobs.get_table(seen)["key"].astype(str).tolist()
    return replace(prob, start=start_of(entry.ref, program, touched))


def unseen_folds(prob: Problem, folds: Sequence[Fold]) -> tuple[list[Fold], list[str]]:
    """Folds whose test rows the version that a fit begins with was not trained on, and a note when some are left out.

    Raises:
        DataError: a fold has no such row.
    """
    if prob.start is None or prob.rows is None:
        return list(folds), []
    known = np.isin(prob.rows.keys, np.asarray(sorted(prob.start.touched), dtype=np.str_))
    clean = [Fold(fold.train, fold.test[~known[fold.test]]) for fold in folds]
    if any(len(fold.test) == 0 for fold in clean):
        raise DataError(
            f"{prob.start.ref} was trained on all rows of a fold: nothing would show what the start is worth.",
            where="train.transfer.start",
            mend="start from a version of other rows, or give rows that it has not seen",
        )
    lost = sum(len(fold.test) for fold in folds) - sum(len(fold.test) for fold in clean)
    told = f"{lost} test rows were trained on by {prob.start.ref} and are left out of the evidence"
    return clean, [told] if lost else []


def told(prob: Problem, build: Callable[[], Assembly]) -> list[str]:
    """What a network takes over from the version that it begins with."""
    return [] if prob.start is None else [prob.start.told(build().program.network)]


def calibrated_rivals(prob: Problem, results: list[FoldResult]) -> list[FoldResult]:
    """Rivals get temperatures of their own, so that the comparison is one of what was learned."""
    if not results or NOTHING not in results[0].rivals:
        return results
    alone, _ = calibrated(prob, [FoldResult(r.fold, r.rivals[NOTHING]) for r in results])
    return [replace(r, rivals={NOTHING: a.program}) for r, a in zip(results, alone, strict=True)]


Train = Callable[[str, Callable[[], Assembly]], tuple[Any, dict[str, Any]]]


def rivals(prob: Problem, fold: Fold, stage: str, seed: int, train: Train) -> Mapping[str, NetworkProgram]:
    """The same fit from nothing, on the same rows, seed and budget; none when no version is the start."""
    if prob.start is None or not prob.spec.train.transfer.compare:
        return {}
    program, _ = train(f"{stage}, from nothing", partial(assemble, replace(prob, start=None), fold.train, seed=seed))
    return {NOTHING: program}
