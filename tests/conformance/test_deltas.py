"""Every delta in `adapt.ALL` keeps the promises of the protocol."""

import pytest

from pellucid import adapt
from pellucid.testing.delta import ConformanceError, check_delta


def factory(kind, **more):
    options = {"adalora": {"steps": 30, "start_rank": 3, "budget": 2}, "lora": {"rank": 2}}[kind]
    return lambda seed, targets: adapt.build(kind, {**options, **more, "seed": seed, "targets": targets})


@pytest.mark.parametrize("kind", adapt.ALL)
def test_conforms(kind):
    check_delta(factory(kind))


class NotTheIdentity(adapt.LoRA):
    def _make(self, name, layer):
        tensors = super()._make(name, layer)
        return {**tensors, "B": tensors["B"] + 1e-6}


class Leaky(adapt.LoRA):
    def finish(self):
        next(iter(self._carrier.attachment.network.parameters())).data.view(-1)[0] += 1e-3


class Greedy(adapt.AdaLoRA):
    def budget(self):
        return 1 if self._finished else 99  # what finish() cuts to


@pytest.mark.parametrize(
    ("broken", "config", "promise"),
    [
        (NotTheIdentity, adapt.LoRAConfig, "identity"),
        (Leaky, adapt.LoRAConfig, "unchanged by merging"),
        (Greedy, lambda **c: adapt.AdaLoRAConfig(steps=30, **c), "budget kept"),
    ],
)
def test_a_broken_delta_is_caught(broken, config, promise):
    with pytest.raises(ConformanceError, match=promise):
        check_delta(lambda seed, targets: broken(config(seed=seed, targets=targets)))
