"""Assemble: a spec and its data become tasks, a network, learners and a trainer; trained, they become a program.

`problem(spec)` reads the data once; `assemble(problem, train)` builds everything on a training part only, so a fold
of the evidence and the final fit go through the same lines.
"""

from pellucid.assemble.build import Assembly, assemble
from pellucid.assemble.problem import Problem, problem
from pellucid.assemble.table import steps_of, table_task, tabulate
from pellucid.assemble.targets import training_target

__all__ = ["Assembly", "Problem", "assemble", "problem", "steps_of", "table_task", "tabulate", "training_target"]
