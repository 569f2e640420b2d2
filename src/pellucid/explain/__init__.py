"""Explain: Shapley values with standard errors, and the effect of do(field).

Sees nothing of a program but `core.Program`, so policies, forecasters and foreign models are explained alike.

Add an explainer: one file with a function like `estimate.Explainer`, one line in `attribution.SHAPLEY`
(or, when it estimates something else or not of every program, in `ALL`), and `pellucid.testing.check_explainer` runs
over it.
"""

from pellucid.explain.attribution import ALL, attribute, plan
from pellucid.explain.budget import Plan
from pellucid.explain.counterfactual import Answer, Counterfactuals, counterfactuals
from pellucid.explain.effect import Effect, effect_of_do, held_fixed
from pellucid.explain.estimate import Estimate, Explainer
from pellucid.explain.explanation import Explanation, Ranked
from pellucid.explain.game import Game
from pellucid.explain.lime import LocalFit, fit_lime
from pellucid.explain.space import Limits

__all__ = [
    "ALL",
    "Answer",
    "Counterfactuals",
    "Effect",
    "Estimate",
    "Explainer",
    "Explanation",
    "Game",
    "Limits",
    "LocalFit",
    "Plan",
    "Ranked",
    "attribute",
    "counterfactuals",
    "effect_of_do",
    "fit_lime",
    "held_fixed",
    "plan",
]
