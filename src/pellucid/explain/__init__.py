"""Explain: Shapley values with standard errors, and the effect of do(field).

Sees nothing of a program but `core.Program`, so policies, forecasters and foreign models are explained alike.

Add an explainer: one file with a function like `estimate.Explainer`, one line in `attribution.SHAPLEY`
(or, when it estimates something else or not of every program, in `ALL`), and `pellucid.testing.check_explainer` runs
over it.
"""

from pellucid.explain.attribution import ALL, attribute, plan
from pellucid.explain.budget import Plan
from pellucid.explain.counterfactual import Answer, Counterfactuals, counterfactuals
from pellucid.explain.dependence import Dependence, accumulated_effects, partial_dependence
from pellucid.explain.effect import Effect, effect_of_do, held_fixed
from pellucid.explain.episode import Course, EpisodeExplanation, explain_course
from pellucid.explain.estimate import Estimate, Explainer
from pellucid.explain.explanation import Explanation, Ranked
from pellucid.explain.game import Game
from pellucid.explain.importance import Importance, permutation_importance, shapley_importance
from pellucid.explain.interactions import Interactions, pair_interactions
from pellucid.explain.lime import LocalFit, fit_lime
from pellucid.explain.outcome import Hidden, Outcome
from pellucid.explain.rules import Rule, find_rules
from pellucid.explain.space import Limits
from pellucid.explain.summary import summarise
from pellucid.explain.surrogate import Surrogate, fit_surrogate
from pellucid.explain.texts import TextExplanation, attribute_text

__all__ = [
    "ALL",
    "Answer",
    "Counterfactuals",
    "Course",
    "Dependence",
    "Effect",
    "EpisodeExplanation",
    "Estimate",
    "Explainer",
    "Explanation",
    "Game",
    "Hidden",
    "Importance",
    "Interactions",
    "Limits",
    "LocalFit",
    "Outcome",
    "Plan",
    "Ranked",
    "Rule",
    "Surrogate",
    "TextExplanation",
    "accumulated_effects",
    "attribute",
    "attribute_text",
    "counterfactuals",
    "effect_of_do",
    "explain_course",
    "find_rules",
    "fit_lime",
    "fit_surrogate",
    "held_fixed",
    "pair_interactions",
    "partial_dependence",
    "permutation_importance",
    "plan",
    "shapley_importance",
    "summarise",
]
