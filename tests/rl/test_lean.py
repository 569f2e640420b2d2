"""Learning in an environment loads what it needs and no more: peak memory is compared with other libraries'."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "pyarrow", "scipy.stats", "scipy.optimize", "sklearn", "torch._dynamo", "sympy")


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_heavy_packages_stay_out(algorithm: str) -> None:
    code = f"""
import sys
from pellucid.assemble import assemble, problem
from pellucid.spec.presets import env_spec
spec = env_spec("CartPole-v1", algorithm="{algorithm}", overrides=("train.updates=3",))
made = assemble(problem(spec), None, seed=0)
made.trainer.run(made.config)
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
