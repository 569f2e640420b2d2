"""Adam is torch's, bit for bit, and loads no compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pellucid import optim


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_same_bits_as_torchs(name: str) -> None:
    torchs = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in ((7, 33), (33,), (1, 5))]
    mine, theirs = ({str(i): torch.nn.Parameter(x.clone()) for i, x in enumerate(start)} for _ in range(2))
    ours = optim.build(name, mine, lr=1e-2, weight_decay=0.1, betas=(0.8, 0.99), eps=1e-6)
    groups = [{"params": [p], "weight_decay": 0.1 if p.ndim == 2 else 0.0} for p in theirs.values()]
    peer = torchs(groups, lr=1e-2, betas=(0.8, 0.99), eps=1e-6, fused=True)
    for update in range(20):
        for key, p in mine.items():
            late = key == "2" and update < 5  # a parameter whose first gradient comes after others'
            p.grad = None if late else torch.randn(p.shape, generator=generator)
            theirs[key].grad = None if late else p.grad.clone()
        for o in (ours, peer):
            for group in o.param_groups:
                group["lr"] = 1e-2 / (1 + update)
            o.step()
        for key, p in mine.items():
            assert torch.equal(p, theirs[key]), (key, update)
    assert {k: float(v["step"]) for k, v in zip(mine, ours.state.values(), strict=True)} == {"0": 20, "1": 20, "2": 15}


def test_it_loads_no_compiler() -> None:
    code = (
        "import sys, torch; from pellucid import optim; p = torch.nn.Parameter(torch.ones(3)); "
        "o = optim.build('adam', {'p': p}, lr=0.1); p.grad = torch.ones(3); o.step(); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
