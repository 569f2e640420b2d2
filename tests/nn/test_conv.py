"""Images are read by convolutions: sizes, the order of the pixels, and the whole way of a program that sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn
from torch.nn.functional import conv2d

import pellucid
import small_worlds  # noqa: F401 - registers Catch
from pellucid.assemble import assemble, problem
from pellucid.core.errors import SpecError
from pellucid.nn.conv import ImageEncoder, side_after, stack_for
from pellucid.nn.network import Network, safe
from pellucid.nn.plain import plain_view
from pellucid.rl.dqn import DQN
from pellucid.rl.ppo import PPO
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.policies import greedy, rollout
from pellucid.spec.loader import spec_from


@pytest.mark.parametrize("side", [8, 9, 10, 15, 16, 17, 35, 36, 64, 84, 96])
def test_every_size_from_eight_up_leaves_something(side: int) -> None:
    layers = stack_for(side, side + 7)
    encoder = ImageEncoder((side, side + 7, 3), 5)
    assert encoder.project.in_features == layers[-1].channels * side_after(side, layers) * side_after(side + 7, layers)
    assert side_after(side, layers) >= 1
    assert encoder(torch.rand(2, side * (side + 7) * 3)).shape == (2, 5)


def test_the_stack_of_mnih_for_his_size() -> None:
    assert side_after(84, stack_for(84, 84)) == 7
    assert ImageEncoder((84, 84, 4), 512).project.in_features == 3136  # as in the paper


def test_a_smaller_image_is_refused() -> None:
    with pytest.raises(ValueError, match="7 x 30 pixels is too small"):
        stack_for(7, 30)


def test_pixels_lie_row_by_row_channels_last() -> None:
    """The first layer, by torch's own convolution of the image as it was."""
    height, width, channels = 9, 12, 3
    encoder = ImageEncoder((height, width, channels), 4)
    image = torch.rand(6, height, width, channels)
    first = encoder.convolve[0]
    assert isinstance(first, nn.Conv2d)
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda _, __, out: seen.append(out))
    encoder(image.reshape(6, -1))
    torch.testing.assert_close(seen[0], conv2d(image.movedim(3, 1), first.weight, first.bias))


def network() -> Network:
    heads = {"act": {"policy": 3, "value": 1}}
    return Network(
        {"image": 100, "speed": 1}, {"act": ("image", "speed")}, heads, width=16, images={"image": (10, 10, 1)}, seed=1
    )


def test_it_adds_to_the_other_encoders_and_is_rebuilt_from_its_architecture() -> None:
    built = network()
    blocks = {"image": torch.rand(5, 100), "speed": torch.randn(5, 1)}
    parts = [built.encoders[safe(name)](blocks[name]) for name in blocks]
    torch.testing.assert_close(built.features(blocks, "act"), built.trunk(built.bias + sum(parts)))
    again = Network(**built.architecture)
    again.load_state_dict(built.state_dict())
    torch.testing.assert_close(again(blocks, "act")["policy"], built(blocks, "act")["policy"], rtol=0, atol=0)
    built.observe(blocks)  # pixels move no normaliser
    assert not [name for name, _ in built.named_buffers()]


def test_the_fast_path_leaves_images_to_autograd() -> None:
    assert plain_view(network(), "act") is None
    heads = {"see": {"policy": 2}, "feel": {"policy": 2}}
    both = Network({"image": 64, "x": 1}, {"see": ("image",), "feel": ("x",)}, heads, width=8,
                   images={"image": (8, 8, 1)})  # fmt: skip
    assert plain_view(both, "see") is None
    assert plain_view(both, "feel") is not None


@pytest.mark.parametrize(("algorithm", "kind"), [("ppo", PPO), ("dqn", DQN)])
def test_learners_take_the_general_path(algorithm: str, kind: type) -> None:
    """One update moves every parameter, the convolutions among them."""
    task = {"kind": "control", "env": "Catch-v0", "algorithm": algorithm}
    task["dqn"] = {"replay": {"warmup": 64}, "batch": 32}  # type: ignore[assignment]
    task["ppo"] = {"num_envs": 8, "steps": 16, "minibatch": 128}  # type: ignore[assignment]
    spec = spec_from(
        {"name": "c", "tasks": {"act": task}, "network": {"width": 16}, "train": {"updates": 1}}, where="t"
    )
    assembly = assemble(problem(spec), None, seed=0)
    (learner,) = assembly.learners
    assert isinstance(learner, kind)
    before = {name: p.detach().clone() for name, p in assembly.program.network.named_parameters()}
    assembly.trainer.run(assembly.config)
    moved = {name for name, p in assembly.program.network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == set(before)


class Painter(gymnasium.Env[Any, Any]):
    """Sees an image, acts by a number."""

    observation_space = spaces.Box(0, 255, (9, 9), np.uint8)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)


def test_sac_says_that_it_cannot_see() -> None:
    if "Painter-v0" not in gymnasium.registry:
        gymnasium.register("Painter-v0", Painter)
    task = {"kind": "control", "env": "Painter-v0", "algorithm": "sac"}
    spec = spec_from({"name": "c", "tasks": {"act": task}, "network": {"width": 8}}, where="test")
    with pytest.raises(SpecError, match="sac cannot look at the images of 'Painter-v0'"):
        assemble(problem(spec), None, seed=0)


def test_a_program_that_sees_is_kept_explained_and_compared(tmp_path: Path) -> None:
    small = ("train.updates=8", "network.width=16", "evidence.episodes=20", "explain.background=8")
    small += tuple(f"tasks.policy.ppo.{s}" for s in ("num_envs=8", "steps=16", "minibatch=64"))
    first = pellucid.fit(env="Catch-v0", store=tmp_path / "store", overrides=small)
    field = first.program.schema["image"]
    assert (field.kind, field.shape, field.width) == ("image", (10, 10, 1), 100)
    task = first.program.tasks["policy"]
    played = rollout("Catch-v0", greedy(first.program, task), range(HELD_OUT, HELD_OUT + 20)).returns
    assert played.mean() == pytest.approx(first.evidence["tasks"][0]["extra"]["mean_return"])

    explanation = first.explain(task="policy")
    assert explanation.players == ("image",)
    np.testing.assert_allclose(explanation.residual, 0.0, atol=1e-5)

    second = pellucid.fit(env="Catch-v0", store=tmp_path / "store", overrides=(*small, "train.updates=9"))
    diff = second.diff
    assert diff.verdict in ("better", "equivalent", "worse", "undecided")
    assert not diff["empty"]
