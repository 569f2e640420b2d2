"""Explanations by words of named rows of a version."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pellucid.core.rows import Rows
from pellucid.explain import TextExplanation, attribute_text
from pellucid.runs.artefact import load_program, load_rows, load_spec
from pellucid.runs.explained import kept_as, question
from pellucid.runs.explaining import last_row, own_rows, pick, rows_asked, rows_given
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.store.store import Store


def explain_texts(
    store: Store,
    ref: str,
    *,
    rows: Rows | pd.DataFrame | None = None,
    at: Sequence[str] = (),
    task: str | None = None,
    source: Any = None,
    seconds: float | None = None,
    seed: int | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> list[TextExplanation]:
    """Explanations by words, one per row; kept by content, so that asking again costs nothing (but for seconds).

    After Ctrl-C the rows that are finished are returned; before the first one it is raised.

    Args:
        rows, at, source, seed: as in `runs.explaining.explain`.
        task: by default the first. seconds: about how long it may take in all.
        options: of `explain.attribute_text`.
    """
    reporter = reporter or Silent()
    entry = store.resolve(ref)
    program, spec = load_program(store, entry), load_spec(store, entry)
    name = task or next(iter(program.tasks))
    program.task(name)
    if rows is not None:
        pool = rows_given(program, name, rows)
        chosen = pick(pool, at) if at else pool
    else:
        background = load_rows(store, entry.manifest["blobs"][f"background/{name}"])
        pool = rows_asked(program, name, own_rows(program, spec, source), background)
        chosen = pick(pool, at or last_row(pool, frozenset(store.review_keys(entry.name) or ())))
    options |= {"seed": spec.seed if seed is None else seed}
    found: list[TextExplanation] = []
    reporter.stage(f"explain {name}", len(chosen))
    with one_thread():
        for index in range(len(chosen)):
            row = chosen.take(np.array([index]))
            share = {} if seconds is None else {"seconds": seconds / len(chosen)}
            compute = partial(_first, program, row, name, options | share)
            asked = question(entry.sha, name, row, "words", options)
            try:
                found.append(kept_as(store, asked, TextExplanation.from_json, compute) if not share else compute())
            except KeyboardInterrupt:
                if not found:
                    raise
                break
            reporter.advance(index + 1)
    return found


def _first(program: Any, row: Rows, task: str, options: dict[str, Any]) -> TextExplanation:
    return attribute_text(program, row, task, **options)[0]
