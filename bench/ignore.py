"""What removes the effect of a forbidden field: the pieces of the correction, one left out at a time.

Fits `examples/stocks.yaml` once (without folds and controls), then trains five deltas against the same base and
measures each on the review rows: how much of the effect of do(volume) is gone, and how well the outputs with volume
held fixed correlate with the base's (the lowest over tasks and outputs).
Run: python bench/ignore.py        prints a table and one line of JSON; about a minute, needs the extra `finance`
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pellucid.adapt import build, fit_rank
from pellucid.feedback.ignore import IgnoreConfig
from pellucid.runs import revise
from pellucid.runs.artefact import load_program, load_spec
from pellucid.runs.fit import fit
from pellucid.runs.measure import compare_fixed, held_fixed, typical_block
from pellucid.runs.progress import Silent, one_thread
from pellucid.spec.loader import load_spec as read_spec
from pellucid.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
FIELD = "volume"


def everywhere(program: Any, fields: Any, config: revise.ReviseConfig, seed: int) -> Any:
    """LoRA on all encoders and the trunk, at the largest rank within the share."""
    rank = fit_rank(program.network, share=config.share)
    return build("lora", {"rank": rank, "alpha": 2.0 * rank, "seed": seed})


# name -> (settings of the delta, settings of the learner, what is patched in `runs.revise`)
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "LoRA at the field's encoder": ({}, {}, {}),
    "the same without the agreement": ({}, {"honour": 0.0}, {}),
    "the same within 3 % (rank 15)": ({"share": 0.03}, {}, {}),
    "LoRA on encoders and trunk, 3 %": ({"share": 0.03}, {}, {"_delta": everywhere}),
    "AdaLoRA at the field's encoder": ({"method": "adalora"}, {}, {}),
}


def main() -> None:
    spec = read_spec(ROOT / "examples/stocks.yaml", ("evidence.folds=1", "evidence.controls=false"))
    found = []
    with tempfile.TemporaryDirectory() as folder, one_thread():
        store = Store(Path(folder) / "store")
        entry = store.resolve(fit(spec, store).ref)
        base = load_program(store, entry)
        ground = revise.find_ground(store, entry, load_spec(store, entry), base, None)
        tasks = [task for task in base.tasks.values() if FIELD in task.inputs]
        before = revise._effects(base, ground, tasks, [FIELD], spec.seed)
        print(f"{'':34}{'effect of do(volume) gone':>34}   lowest correlation   parameters   seconds")
        print(f"{'':34}{''.join(f'{task.name:>12}' for task in tasks)}")
        for name, (settings, learner, patched) in VARIANTS.items():
            started = time.perf_counter()
            with patch.multiple(revise, IgnoreConfig=partial(IgnoreConfig, **learner), **patched):
                config = revise.ReviseConfig(**settings)
                program, delta = revise._train("", store, entry, ground, tasks, [FIELD], config, True, Silent())
            seconds = time.perf_counter() - started
            after = revise._effects(program, ground, tasks, [FIELD], spec.seed)
            gone = {t.name: 1.0 - after[t.name, FIELD].value / before[t.name, FIELD].value for t in tasks}
            kept = min(_correlations(base, program, ground, tasks))
            share = delta.count() / base.parameter_count()
            print(
                f"{name:34}{''.join(f'{value:12.1%}' for value in gone.values())}"
                f"{kept:21.3f}{share:13.1%}{seconds:10.1f}"
            )
            found.append({"name": name, "gone": gone, "correlation": kept, "share": share, "seconds": seconds})
    print(json.dumps({"rows": found, "seed": spec.seed, "python": platform.python_version()}))


def _correlations(base: Any, program: Any, ground: Any, tasks: Any) -> list[float]:
    values = []
    for task in tasks:
        block = typical_block(base, ground.train[task.name], FIELD)
        outputs = [held_fixed(p, ground.review[task.name], task.name, FIELD, block) for p in (base, program)]
        values += [entry["correlation"] or 0.0 for entry in compare_fixed(task.outputs, *outputs)]
    return values


if __name__ == "__main__":
    main()
