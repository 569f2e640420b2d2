"""The sections of the algorithms that learn a policy, in `tasks.NAME`."""

from __future__ import annotations

from pydantic import Field

from pellucid.spec.section import Count, OpenShare, Positive, Section, Share


class PPOSpec(Section):
    """Proximal policy optimisation (Schulman et al. 2017)."""

    num_envs: Count = Field(default=64, le=65536, description="environments that step together")
    steps: Count = Field(default=32, le=65536, description="steps of each environment per rollout")
    epochs: Count = Field(default=4, le=100, description="passes over each rollout")
    minibatch: int = Field(default=256, ge=2, description="rows per update; at most num_envs * steps")
    discount: float = Field(default=0.99, ge=0, le=1, description="of rewards, per step")
    gae_lambda: Share = Field(default=0.95, description="bias against variance of the advantages")
    clip: Positive = Field(default=0.2, le=1, description="range of the probability ratio")
    entropy: float = Field(default=0.01, ge=0, description="factor of the entropy bonus")
    value_weight: float = Field(default=0.5, ge=0, description="factor of the value loss")
    log_std: float = Field(
        default=0.0,
        ge=-5,
        le=2,
        description="logarithm of the deviation of continuous actions at first, in the environment's units",
    )
    target_kl: Positive | None = Field(
        default=None, description="ends a rollout's epochs early when the policy has moved this far"
    )
    normalise_observations: bool = Field(
        default=True, description="by running mean and deviation, frozen with the program"
    )


class A2CSpec(Section):
    """Advantage actor-critic (Mnih et al. 2016): PPO with one epoch of one minibatch, whose clip is never met."""

    num_envs: Count = Field(default=16, le=65536, description="environments that step together")
    steps: Count = Field(default=5, ge=1, le=65536, description="steps of each environment per update")
    discount: float = Field(default=0.99, ge=0, le=1, description="of rewards, per step")
    gae_lambda: Share = Field(default=1.0, description="bias against variance of the advantages; 1: n-step returns")
    entropy: float = Field(default=0.0, ge=0, description="factor of the entropy bonus")
    value_weight: float = Field(default=0.5, ge=0, description="factor of the value loss")
    normalise_advantages: bool = Field(default=False, description="to mean 0 and deviation 1 over each rollout")
    normalise_observations: bool = Field(
        default=True, description="by running mean and deviation, frozen with the program"
    )


class ReplaySpec(Section):
    """The memory of an off-policy learner."""

    size: Count = Field(default=100_000, description="transitions kept")
    warmup: Count = Field(default=1000, description="environment steps with random actions before the first update")
    n_step: Count = Field(default=1, le=1000, description="rewards before the bootstrap")


class PrioritySpec(Section):
    """Draws in proportion to the last error (Schaul et al. 2016)."""

    exponent: Share = Field(default=0.0, description="of the error; 0: uniform draws")
    correction: Share = Field(default=0.4, description="exponent of the importance weights at first; rises to 1")
    updates: Count = Field(default=50_000, description="updates over which it rises")


class ExploreSpec(Section):
    """Random actions, whose share falls linearly."""

    start: Share = Field(default=1.0, description="their share at first")
    end: Share = Field(default=0.05, description="their share in the end")
    steps: Count = Field(default=10_000, description="environment steps over which it falls")


class TargetSpec(Section):
    """The target network."""

    every: Count = Field(default=250, description="updates between its moves")
    rate: Positive = Field(default=1.0, le=1, description="how far it moves; 1: a copy")


class DQNSpec(Section):
    """Deep Q-learning (Mnih et al. 2015), for discrete actions."""

    num_envs: Count = Field(default=8, le=65536, description="environments that step together")
    steps: Count = Field(default=4, le=65536, description="steps of each environment between rounds of updates")
    updates: Count = Field(default=16, le=65536, description="updates per round")
    batch: int = Field(default=64, ge=2, description="rows per update")
    discount: float = Field(default=0.99, ge=0, le=1, description="of rewards, per step")
    double: bool = Field(default=True, description="choose the next action by the network, value it by the target")
    duelling: bool = Field(default=False, description="a state's value and the actions' advantages as separate heads")
    huber: Positive | None = Field(default=1.0, description="larger errors count linearly; null: all count squared")
    replay: ReplaySpec = ReplaySpec()
    priority: PrioritySpec = PrioritySpec()
    explore: ExploreSpec = ExploreSpec()
    target: TargetSpec = TargetSpec()
    normalise_observations: bool = Field(
        default=False, description="by running mean and deviation, frozen with the program"
    )


class SACSpec(Section):
    """Soft actor-critic (Haarnoja et al. 2018), for bounded continuous actions."""

    num_envs: Count = Field(default=1, le=65536, description="environments that step together")
    steps: Count = Field(default=1, le=65536, description="steps of each environment between rounds of updates")
    updates: Count = Field(default=1, le=65536, description="updates per round")
    batch: int = Field(default=256, ge=2, description="rows per update")
    discount: float = Field(default=0.99, ge=0, le=1, description="of rewards, per step")
    target_rate: Positive = Field(default=0.005, le=1, description="how far the target critics move with every update")
    temperature: Positive | None = Field(default=None, description="factor of the entropy; null: learned")
    target_entropy: float | None = Field(
        default=None, description="of the learned temperature, in nats; null: minus the number of action dimensions"
    )
    replay: ReplaySpec = ReplaySpec()
    normalise_observations: bool = Field(
        default=False, description="by running mean and deviation, frozen with the program"
    )


class ESSpec(Section):
    """Evolution strategies (Salimans et al. 2017): no gradient, no value, whole episodes."""

    population: int = Field(
        default=64, ge=2, le=65536, multiple_of=2, description="an even number of members; one generation is one update"
    )
    sigma: Positive = Field(default=0.1, description="standard deviation of the noise on the weights")
    episodes: Count = Field(default=1, le=1000, description="episodes of each member")
    limit: Count = Field(default=100_000, description="steps after which an episode is not followed any further")
    normalise_observations: bool = Field(
        default=True, description="by running mean and deviation, frozen with the program"
    )

    @property
    def num_envs(self) -> int:
        return self.population * self.episodes

    @property
    def discount(self) -> float:
        """Returns are not discounted."""
        return 1.0


class BCSpec(Section):
    """Behaviour cloning: learn the actions that somebody has shown."""

    demonstrations: str = Field(
        default="", description="a CSV, TSV or Parquet file: a column per observed value and the action taken there"
    )
    action: str = Field(default="action", min_length=1, description="the action's column")
    batch: int = Field(default=256, ge=1, description="rows per update")
    normalise_observations: bool = Field(
        default=True, description="by mean and deviation of the shown states, frozen with the program"
    )

    @property
    def num_envs(self) -> int:
        """One, to ask for its fields and actions."""
        return 1

    @property
    def discount(self) -> float:
        """No reward is looked at."""
        return 1.0


class DirectSpec(Section):
    """Backpropagation through the reward of a market that does not answer (Moody & Saffell 2001)."""

    paths: Count = Field(default=256, le=65536, description="paths of an update")
    steps: Count = Field(default=64, le=65536, description="steps of a path: credit for a position reaches that far")
    discount: float = Field(default=0.99, ge=0, le=1, description="of the value; the policy's objective is the mean")
    value_weight: float = Field(default=0.5, ge=0, description="factor of the value loss")
    normalise_observations: bool = Field(
        default=False, description="by running mean and deviation, frozen with the program"
    )

    @property
    def num_envs(self) -> int:
        """One, to ask for its fields and paths."""
        return 1


class PolicyIterationSpec(Section):
    """Policy iteration: an exact optimum of a finite environment whose transitions are known."""

    discount: float = Field(default=0.999, ge=0, le=1, description="of rewards, per step")


class ValueIterationSpec(Section):
    """Value iteration: the exact optimum of a finite environment whose transitions are known."""

    clock: bool = Field(
        default=True,
        description="decide by the steps so far too, where the environment has a time limit: the undiscounted optimum",
    )
    discount: float = Field(default=1.0, ge=0, le=1, description="of rewards, per step; not used with a clock")


class SampledSpec(Section):
    """Q-learning or SARSA: a table of action values, learned from single steps."""

    steps: Count = Field(default=1_000_000, description="environment steps")
    discount: float = Field(default=0.995, ge=0, le=1, description="of rewards, per step")
    epsilon: Share = Field(default=0.3, description="share of random actions while learning")
    power: OpenShare = Field(default=0.6, description="the n-th step size of a state and action is n to minus this")
    initial: float = Field(
        default=0.0, description="value of what was never tried; above all that can be earned, everything is tried"
    )
