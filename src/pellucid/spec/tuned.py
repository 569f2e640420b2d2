"""Settings that were tuned for one environment and one algorithm, by name.

The first algorithm of an environment is what `pellucid fit --env ID` takes. How each was chosen, on which seeds, and
what it scores on others stands in docs/reference/scores.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Settings(NamedTuple):
    """What a spec says about learning a policy.

    Args:
        section: of the algorithm, under `tasks.NAME.ALGORITHM`.
        network, train: the sections of these names.
    """

    section: dict[str, Any]
    network: dict[str, Any]
    train: dict[str, Any]


def table(**section: Any) -> Settings:
    """Settings of a method that keeps a table: there is no network to train."""
    return Settings(section, {}, {})


SMALL: dict[str, Any] = {"width": 64, "depth": 2, "activation": "tanh"}
LINEAR: dict[str, Any] = {"schedule": "linear", "weight_decay": 0.0, "clip": 0.5}  # PPO's: lr falls to zero

TUNED: dict[str, dict[str, Settings]] = {
    "CartPole-v1": {
        # A running normaliser moves under the policy as its range widens, which cost 2 of 4 tuning seeds their
        # solution; raw observations are well scaled as they are.
        "ppo": Settings(
            {
                "num_envs": 32,
                "steps": 32,
                "discount": 0.99,
                "gae_lambda": 0.95,
                "entropy": 0.0,
                "normalise_observations": False,
            },
            SMALL,
            {"updates": 3000, "lr": 3e-3, **LINEAR},
        ),
        # Long returns of a behaviour that keeps exploring, squared errors, a memory of the recent past: see
        # docs/reference/dqn.md for what each does against the instability.
        "dqn": Settings(
            {
                "num_envs": 32,
                "steps": 8,
                "updates": 16,
                "batch": 128,
                "huber": None,
                "replay": {"n_step": 20, "size": 50_000},
                "explore": {"steps": 20_000, "end": 0.1},
                "target": {"every": 1, "rate": 0.01},
            },
            {"width": 64, "depth": 2, "activation": "relu"},
            {"updates": 12_000, "optimiser": "adam", "lr": 1e-3, **LINEAR, "clip": 10.0},
        ),
    },
    "Acrobot-v1": {
        "ppo": Settings(
            {"num_envs": 16, "steps": 256, "discount": 0.99, "gae_lambda": 0.94, "entropy": 0.0},
            SMALL,
            {"updates": 2400, "lr": 1e-3, **LINEAR},
        ),
    },
    "MountainCarContinuous-v0": {
        # The reward comes only at the top and every push costs: independent noise on the actions learns to stand still.
        # Noise on the weights pushes one way for long enough.
        "es": Settings(
            {"population": 32, "sigma": 0.2},
            {"width": 16, "depth": 1, "activation": "tanh"},
            {"updates": 40, "optimiser": "adam", "lr": 0.1, "schedule": "linear", "weight_decay": 0.0, "clip": None},
        ),
    },
    "Pendulum-v1": {
        # With half of these updates, or a constant rate, some seeds end with a policy whose mean action spins for ever.
        "sac": Settings(
            {"num_envs": 4, "updates": 2},
            {"width": 64, "depth": 2, "activation": "relu"},
            {
                "updates": 16000,
                "optimiser": "adam",
                "lr": 1e-3,
                "schedule": "linear",
                "weight_decay": 0.0,
                "clip": None,
                "checkpoint_every": 2000,
            },
        ),
    },
    "FrozenLake-v1": {
        # Q-learning learns from any behaviour, and only random steps reach the goal often enough at first.
        "q_learning": table(steps=300_000, discount=0.99, epsilon=1.0, power=0.7),
        "value_iteration": table(),
    },
    "FrozenLake8x8-v1": {
        # Values of 1 at first make it try everything; without, it does not find the goal. Under the limit of 200 steps
        # the best policy looks at the clock (0.913, by value iteration); one that does not earns 0.894 at most.
        "q_learning": table(steps=2_000_000, discount=0.995, epsilon=0.3, power=0.6, initial=1.0),
        "value_iteration": table(),
    },
    "Taxi-v4": {
        "q_learning": table(steps=1_000_000, discount=0.99, epsilon=0.3, power=0.7),
        "value_iteration": table(),
    },
    "CliffWalking-v1": {
        "q_learning": table(steps=100_000, discount=0.99, epsilon=0.3, power=0.7),
        "value_iteration": table(),
    },
    "LunarLander-v3": {
        "ppo": Settings(
            {"num_envs": 16, "steps": 1024, "discount": 0.999, "gae_lambda": 0.98, "entropy": 0.01},
            SMALL,
            {"updates": 12800, "lr": 1e-3, **LINEAR},
        ),
    },
    "InvertedPendulum-v5": {
        "ppo": Settings(
            {"num_envs": 16, "steps": 128, "discount": 0.99, "gae_lambda": 0.95, "entropy": 0.0},
            SMALL,
            {"updates": 3200, "lr": 1e-3, **LINEAR},
        ),
    },
    "HalfCheetah-v5": {
        "ppo": Settings(
            {
                "num_envs": 8,
                "steps": 256,
                "epochs": 10,
                "minibatch": 64,
                "discount": 0.98,
                "gae_lambda": 0.92,
                "entropy": 0.0,
                "log_std": -1.5,  # actions lie in [-1, 1]: a deviation of 1 is mostly clipped
            },
            SMALL,
            {"updates": 46720, "lr": 8e-4, "schedule": "linear", "weight_decay": 0.0, "clip": 0.8},
        ),
    },
}


def tuned(env: str, algorithm: str | None) -> tuple[str, Settings] | None:
    """The tuned settings of an environment, of its first algorithm when none is named; None when there are none.

    Args:
        env: a Gymnasium id; `module:id` is that of `id`.
    """
    found = TUNED.get(env.rpartition(":")[2], {})
    chosen = next(iter(found), None) if algorithm is None else algorithm
    return (chosen, found[chosen]) if chosen in found else None
