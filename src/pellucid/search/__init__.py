"""Search: settings are tried on a part of the training rows, and chosen by another part.

`search(plan, journal, ...)` runs trials one after the other; a trial is a function of the settings, so this floor knows
neither rows nor versions. What is chosen, and what that shows, is said by `runs.searching`.
"""

from pellucid.search.journal import Journal
from pellucid.search.loop import Plan, search
from pellucid.search.population import Population, PopulationPlan, train_population
from pellucid.search.samplers import ALL
from pellucid.search.space import Dimension, Params, dimensions
from pellucid.search.training import Attempt, trained
from pellucid.search.trial import RUNGS, Trial, best_of

__all__ = [
    "ALL",
    "RUNGS",
    "Attempt",
    "Dimension",
    "Journal",
    "Params",
    "Plan",
    "Population",
    "PopulationPlan",
    "Trial",
    "best_of",
    "dimensions",
    "search",
    "train_population",
    "trained",
]
