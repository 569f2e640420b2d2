"""Exact Shapley values of wrapped trees, forests and boosted trees by shap's tree explainer (Lundberg et al. 2020).

The game is the interventional one, on the same background. What shap returns is compared with what the program itself
says before anybody sees it: a model that shap reads differently is an error, not a wrong explanation. A boosted
classifier's probabilities are refused: shap explains its log-odds on each background row and rescales that to the
change of the probability, which adds up and is not the Shapley value.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import DataError, require
from pellucid.core.program import Wrapped
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.game import Game

TOLERANCE = 1e-4  # of the outputs' size: boosted trees are often kept in float32


def tree_values(
    game: Game, keys: Sequence[str], *, evaluations: int = 0, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Shapley values of a wrapped tree model; no sampling error, and no evaluations of the program but the ends.

    Raises:
        MissingExtra: shap is not installed.
        DataError: the program is no wrapped tree model of numbers, or shap reads it differently.
    """
    require("shap", extra="xai", purpose="explain(method='tree')")
    if not isinstance(game.program, Wrapped):
        raise _refused("the program is no wrapped model")
    if game.d != game.x.shape[1] or any(f.kind == "category" for f in game.program.schema.inputs):
        raise _refused("its fields are not one number each")
    model = game.program.model
    declared = game.program.tasks[game.task]
    order = _order(model, list(declared.inputs))
    values = _explained(model, game, order, probability=declared.unit == "probability")
    base, prediction = game.ends.mean(0), game.outputs(game.x)
    off = (prediction - base - values.sum(1)).abs().max() if game.n else torch.zeros(())
    if float(off) > TOLERANCE * max(1.0, float(prediction.abs().max())):
        raise _refused(f"shap's sums miss the program's own outputs by {float(off):.2g}")
    if progress is not None:
        progress(game.n, game.n)
    note = f"shap's tree explainer over {game.b} background rows; no sampling error"
    return Estimate(values, torch.zeros_like(values), base, prediction, note)


def _refused(why: str) -> DataError:
    return DataError(
        f"method 'tree' cannot explain this program: {why}.",
        where="explain(method='tree')",
        mend="use method='permutation', which explains any program",
    )


def _order(model: Any, inputs: list[str]) -> list[int]:
    """Positions of the inputs in the order in which the model was fitted."""
    fitted = getattr(model, "feature_names_in_", None)
    return list(range(len(inputs))) if fitted is None else [inputs.index(str(name)) for name in fitted]


def _explained(model: Any, game: Game, order: list[int], *, probability: bool) -> Tensor:
    shap = import_module("shap")
    background, x = (a.double().numpy()[:, order] for a in (game.background, game.x))
    try:
        explainer = shap.TreeExplainer(
            model,
            shap.maskers.Independent(background, max_samples=len(background)),
            feature_perturbation="interventional",
            model_output="probability" if probability else "raw",
        )
        scale = getattr(getattr(explainer, "model", None), "tree_output", None)
        if probability and scale == "log_odds":
            raise _refused(
                "its trees add up to log-odds, and shap's values of a probability are those of the log-odds, rescaled"
            )
        raw = np.asarray(explainer.shap_values(x, check_additivity=False), dtype=np.float64)
    except DataError:
        raise
    except Exception as error:  # whatever shap, or the model through it, may raise
        raise _refused(f"shap says {type(error).__name__}: {error}") from error
    raw = raw.reshape(len(x), len(order), -1)
    if raw.shape[2] == 1 and game.k == 2 and probability:  # of two classes it gives the second alone
        raw = np.concatenate((-raw, raw), axis=2)
    if raw.shape[2] != game.k:
        raise _refused(f"shap gives {raw.shape[2]} outputs, the program {game.k}")
    values = torch.empty(len(x), game.d, game.k, dtype=torch.float64)
    values[:, order] = torch.from_numpy(raw)
    return values
