"""PPO in pieces: distributions against torch's, the objective by hand, rollouts against a second book-keeping."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, Normal

from pellucid.core.task import Task
from pellucid.data.encoding import Encoding, identity
from pellucid.envs.vectorise import VectorAdapter, make
from pellucid.nn.network import Network, safe
from pellucid.rl.distributions import act, log_prob_and_entropy
from pellucid.rl.ppo import PPO, PPOBatch, PPOConfig, RewardScale

# Distributions


def test_discrete_agrees_with_torch():
    raw = {"policy": 3.0 * torch.randn(50, 4)}
    action = torch.randint(4, (50,))
    log_p, entropy = log_prob_and_entropy(raw, action)
    theirs = Categorical(logits=raw["policy"])
    torch.testing.assert_close(log_p, theirs.log_prob(action))
    torch.testing.assert_close(entropy, theirs.entropy())


def test_box_agrees_with_torch():
    raw = {"policy": torch.randn(50, 3), "log_std": torch.randn(50, 3).clamp(-2, 1)}
    action = torch.randn(50, 3)
    log_p, entropy = log_prob_and_entropy(raw, action)
    theirs = Independent(Normal(raw["policy"], raw["log_std"].exp()), 1)
    torch.testing.assert_close(log_p, theirs.log_prob(action))
    torch.testing.assert_close(entropy, theirs.entropy())


def test_a_wild_spread_is_bounded():
    raw = {"policy": torch.zeros(2, 1), "log_std": torch.tensor([[-100.0], [100.0]])}
    log_p, entropy = log_prob_and_entropy(raw, torch.ones(2, 1))
    assert bool(torch.isfinite(log_p).all())
    torch.testing.assert_close(entropy, Normal(0.0, torch.tensor([-5.0, 2.0]).exp()).entropy())


@pytest.mark.parametrize("logits", [[0.0, 0.0], [2.0, 0.0, -1.0], [0.0, 5.0, 1.0, 1.0]])
def test_gumbel_draws_have_the_softmax_frequencies(logits):
    n = 100_000
    raw = {"policy": torch.tensor(logits).expand(n, len(logits))}
    drawn = act(raw, np.random.default_rng(0)).numpy()
    p = torch.softmax(torch.tensor(logits), 0).numpy()
    counts = np.bincount(drawn, minlength=len(p))
    assert (np.abs(counts / n - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1e-6).all()


def test_gaussian_draws_have_mean_and_spread():
    n = 50_000
    raw = {"policy": torch.tensor([[1.0, -2.0]]).expand(n, 2), "log_std": torch.tensor([[0.0, -1.0]]).expand(n, 2)}
    drawn = act(raw, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), [1.0, -2.0], atol=0.02)
    np.testing.assert_allclose(drawn.std(0), [1.0, math.exp(-1.0)], rtol=0.02)


def test_without_a_generator_the_mode_is_taken():
    assert act({"policy": torch.tensor([[0.1, 3.0, 2.0]])}, None).tolist() == [1]
    box = {"policy": torch.tensor([[0.5]]), "log_std": torch.zeros(1, 1)}
    assert act(box, None).tolist() == [[0.5]]


# The objective


def _task(space: str = "discrete", actions: int = 2, fields: tuple[str, ...] = ("x",)) -> Task:
    options = {"space": space, "actions": actions, "low": [-1.0] * actions, "high": [1.0] * actions}
    return Task("p", "control", fields, ("a", "b", "value"), "logit", "negative_reward", options=options)


def _ppo(**config) -> PPO:
    return PPO(_task(), make("CartPole-v1", 2, 0), lambda obs: obs, PPOConfig(**config), seed=0)


def test_the_clipped_objective_by_hand():
    """Ratios 1.5, 0.5, 1.5, 0.5 and 1.1 with advantages +1, +1, -1, -1 and +2; clip 0.2."""
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1])
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0])
    raw = {"policy": torch.zeros(5, 2), "value": torch.tensor([[1.0]] * 5)}  # log-probability log 1/2 each
    batch = PPOBatch({}, torch.zeros(5), math.log(0.5) - ratio.log(), advantage, torch.tensor([1.0, 1, 1, 1, 3.0]))
    loss, metrics = _ppo(clip=0.2, entropy=0.1, value_weight=0.5).loss(lambda blocks, task: raw, batch)
    policy = -(1.2 + 0.5 - 1.5 - 0.8 + 2.2) / 5  # min(r A, clip(r) A)
    assert float(metrics["policy_loss"]) == pytest.approx(policy, rel=1e-5)
    assert float(metrics["value_loss"]) == pytest.approx(4.0 / 5)
    assert float(metrics["entropy"]) == pytest.approx(math.log(2.0))
    assert float(loss) == pytest.approx(policy + 0.5 * 0.8 - 0.1 * math.log(2.0), rel=1e-5)
    assert float(metrics["clip_fraction"]) == pytest.approx(4 / 5)
    kl = float((ratio - 1 - ratio.log()).mean())
    assert float(metrics["approx_kl"]) == pytest.approx(kl, rel=1e-4)


def test_clipped_rows_give_no_gradient():
    z = torch.zeros(4, 2, requires_grad=True)
    raw = {"policy": z, "value": torch.zeros(4, 1)}
    ratio, advantage = torch.tensor([1.5, 0.5, 1.5, 0.5]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    batch = PPOBatch({}, torch.zeros(4), math.log(0.5) - ratio.log(), advantage, torch.zeros(4))
    loss, _ = _ppo(clip=0.2, entropy=0.0).loss(lambda blocks, task: raw, batch)
    (g,) = torch.autograd.grad(loss, z)
    # A gain beyond the clip is not pursued any further; a loss beyond it is still undone.
    assert [bool(row.abs().sum() > 0) for row in g] == [False, True, True, False]


# Rewards


@given(seed=st.integers(0, 1000), discount=st.floats(0, 1), parts=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_reward_scale_is_the_spread_of_discounted_sums(seed, discount, parts):
    g = np.random.default_rng(seed)
    scale = RewardScale(3, discount)
    sums, every = np.zeros(3), []
    for steps in parts:
        reward, ended = g.normal(2.0, 5.0, (steps, 3)), g.random((steps, 3)) < 0.3
        scaled = scale(reward, ended)
        for t in range(steps):
            sums = discount * sums + reward[t]
            every.append(sums.copy())
            sums = np.where(ended[t], 0.0, sums)
        sd = float(np.std(every))
        assert scale.sd == pytest.approx(sd, rel=1e-9)
        np.testing.assert_allclose(scaled, reward / sd)


def test_constant_rewards_are_left_alone():
    scale = RewardScale(2, 0.0)
    assert scale(np.full((4, 2), 3.0), np.zeros((4, 2), dtype=bool)).tolist() == [[3.0, 3.0]] * 4


def test_reward_scale_continues():
    g = np.random.default_rng(0)
    a, b = RewardScale(2, 0.9), RewardScale(2, 0.9)
    none = np.zeros((3, 2), dtype=bool)
    a(g.normal(size=(3, 2)), none)
    b.set_state(a.get_state())
    more = g.normal(size=(3, 2))
    assert np.array_equal(a(more, none), b(more, none))
    assert a.sd == b.sd


# Rollouts


class Clock(gymnasium.Env):
    """Observes (steps so far, a number of its own); ends by its rules or is cut, by turns, after 2 to 5 steps."""

    observation_space = spaces.Dict({"x": spaces.Box(-100, 100, (2,), np.float32)})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.episode = 0, getattr(self, "episode", -1) + 1
        self.length = int(self.np_random.integers(2, 6))
        return self._look(), {}

    def _look(self):
        return {"x": np.asarray([self.t, self.np_random.normal()], dtype=np.float32)}

    def step(self, action):
        self.t += 1
        over = self.t == self.length
        cut = bool(self.episode % 2)
        return self._look(), float(self.t + action), over and not cut, over and cut, {}


def _clock_ppo(mode: AutoresetMode, **config) -> tuple[PPO, Network]:
    env = SyncVectorEnv([Clock] * 3, autoreset_mode=mode)
    adapter = VectorAdapter(env, "Clock", seed=5)
    encoding = Encoding(identity(adapter.fields))
    network = Network({"x": 2}, {"p": ("x",)}, {"p": {"policy": 2, "value": 1}}, width=8, activation="tanh")
    ppo = PPO(_task(), adapter, encoding.encode_fields, PPOConfig(**{"steps": 25, "minibatch": 10, **config}), seed=3)
    return ppo, network


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_rollouts_against_a_second_book(mode):
    """Returns by the definition, from every observation, reward, end and cut that the environment gave."""
    ppo, network = _clock_ppo(mode, discount=0.9, gae_lambda=0.7)
    seen: list = []
    step = ppo.env.step

    def watched(actions):
        before = {k: v.copy() for k, v in ppo.env.obs.items()}
        seen.append((before, step(actions)))
        return seen[-1][1]

    ppo.env.step = watched
    ppo.next_batch(network)
    rollout = ppo._rollout

    def value(obs):
        with torch.no_grad():
            return network(ppo.encode(obs), "p")["value"][:, 0].double().numpy()

    sd, T = ppo.value_scale, len(seen)
    V = [value(before) for before, _ in seen] + [value(seen[-1][1].obs)]
    rows, wanted = [], []
    for t, (before, at) in enumerate(seen):
        for i in range(3):
            if not at.valid[i]:
                continue
            total = 0.0
            for s in range(t, T):
                now = seen[s][1]
                follows = V[s + 1][i]
                if now.truncated[i]:
                    follows = value(now.final_obs)[i]
                if now.terminated[i]:
                    follows = 0.0
                total += (0.9 * 0.7) ** (s - t) * (now.reward[i] / sd + 0.9 * follows - V[s][i])
                if now.terminated[i] or now.truncated[i]:
                    break
            rows.append(before["x"][i])
            wanted.append(total + V[t][i])
    ends = sum(int(at.terminated.sum()) for _, at in seen), sum(int(at.truncated.sum()) for _, at in seen)
    assert min(ends) >= 5
    dummies = sum(int((~at.valid).sum()) for _, at in seen)
    assert (dummies > 0) == (mode is AutoresetMode.NEXT_STEP)
    np.testing.assert_allclose(rollout.blocks["x"].numpy(), rows)
    np.testing.assert_allclose(rollout.returns, wanted, rtol=2e-5, atol=1e-5)
    gap = np.asarray(wanted) - np.concatenate([V[t][at.valid] for t, (_, at) in enumerate(seen)])
    gap = (gap - gap.mean()) / gap.std()
    np.testing.assert_allclose(rollout.advantage, gap, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_minibatches_pass_over_the_rollout_once_an_epoch(mode):
    ppo, network = _clock_ppo(mode, epochs=3)
    batches = [ppo.next_batch(network)]
    rollout = ppo._rollout
    while True:
        batch = ppo.next_batch(network)
        if ppo._rollout is not rollout:
            break
        batches.append(batch)
    n, per_epoch = len(rollout.advantage), len(batches) // 3
    assert per_epoch == round(n / 10)
    orders = []
    for epoch in range(3):
        part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        found = np.concatenate([b.returns for b in part])
        assert sorted(found.tolist()) == sorted(rollout.returns.tolist())
        orders.append(found.tolist())
    assert orders[0] != orders[1] != orders[2]
    assert min(len(b.returns) for b in batches) >= 2


def test_the_old_log_probabilities_are_the_policys_own():
    ppo, network = _clock_ppo(AutoresetMode.SAME_STEP)
    batch = ppo.next_batch(network)
    _, metrics = ppo.loss(network, batch)
    assert float(metrics["approx_kl"]) == pytest.approx(0.0, abs=1e-6)
    assert float(metrics["clip_fraction"]) == 0.0


def test_the_normaliser_moves_between_rollouts_only():
    ppo, _ = _clock_ppo(AutoresetMode.SAME_STEP, epochs=1)
    network = Network({"x": 2}, {"p": ("x",)}, {"p": {"policy": 2, "value": 1}}, width=8, normalise=("x",))
    encoder = network.encoders[safe("x")]
    ppo.next_batch(network)
    first = ppo._rollout
    while ppo._rollout is first:
        assert float(encoder.count) == 0.0
        ppo.next_batch(network)
    assert float(encoder.count) == len(first.advantage)
    np.testing.assert_allclose(encoder.mean.numpy(), first.blocks["x"].numpy().mean(0), rtol=1e-5)


def test_a_policy_that_has_moved_far_ends_its_rollout():
    ppo, network = _clock_ppo(AutoresetMode.SAME_STEP, target_kl=0.01)
    ppo.next_batch(network)
    first = ppo._rollout
    ppo.after_step(network, {"approx_kl": 0.0149})
    ppo.next_batch(network)
    assert ppo._rollout is first
    ppo.after_step(network, {"approx_kl": 0.0151})
    ppo.next_batch(network)
    assert ppo._rollout is not first


def test_continuous_actions_are_clipped_for_the_environment_only():
    env = make("Pendulum-v1", 2, 0)
    taken: list = []
    step = env.step
    env.step = lambda a: (taken.append(a), step(a))[1]
    names = tuple(f.name for f in env.fields)
    task = _task("box", 1, names)
    network = Network(dict.fromkeys(names, 1), {"p": names}, {"p": {"policy": 1, "value": 1, "log_std": 1}}, width=8)
    with torch.no_grad():
        network.heads[safe("p")]["log_std"].bias.fill_(1.0)
    ppo = PPO(task, env, Encoding(identity(env.fields)).encode_fields, PPOConfig(steps=50, minibatch=100), seed=0)
    batch = ppo.next_batch(network)
    sent = np.concatenate(taken)
    assert np.abs(sent).max() == 1.0
    assert float(np.abs(batch.action).max()) > 2.0
    log_p, _ = log_prob_and_entropy(network(batch.blocks, "p"), torch.as_tensor(batch.action))
    torch.testing.assert_close(log_p, torch.as_tensor(batch.log_prob), rtol=1e-4, atol=1e-5)


def test_episode_returns_are_those_of_the_environment():
    ppo, network = _clock_ppo(AutoresetMode.SAME_STEP)
    batch = ppo.next_batch(network)
    _, metrics = ppo.loss(network, batch)
    assert len(ppo._returns) >= 10
    assert float(metrics["episode_return"]) == pytest.approx(np.mean(ppo._returns), rel=1e-6)
    assert 2 <= np.mean(ppo._returns) <= 20
