"""Encoders of texts: nothing but the tokens matters, padding and empty texts least of all."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pellucid.nn import encoders
from pellucid.nn.ensemble import network_from
from pellucid.nn.network import Network
from pellucid.nn.text import GAIN, NgramEncoder, TransformerEncoder, masked_mean, ngrams, trimmed

KINDS = {
    "ngrams": {"kind": "ngrams", "width": 8, "longest": 3, "buckets": 512},
    "text_transformer": {"kind": "text_transformer", "size": 40, "width": 8, "layers": 2},
}


def _block(*rows: list[int], length: int = 8) -> Tensor:
    return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int32)


def _built(kind: str, out: int = 5) -> nn.Module:
    torch.manual_seed(0)
    made = encoders.build(KINDS[kind], 8, out)
    made.begin(3)  # type: ignore[operator]
    nn.init.normal_(made.project.weight)  # type: ignore[union-attr, arg-type]
    for name, parameter in made.named_parameters():
        if name == "weigh":
            nn.init.normal_(parameter, std=0.1)
    return made.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_the_rows_beside_it_change_nothing(kind: str) -> None:
    encoder = _built(kind)
    alone = encoder(_block([5, 6, 7], length=3))
    beside = encoder(_block([5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8], []))
    torch.testing.assert_close(alone[0], beside[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text_says_nothing_and_has_a_gradient(kind: str) -> None:
    encoder = _built(kind)
    out = encoder(_block([], [5, 6]))
    assert torch.equal(out[0], torch.zeros(5))
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_order_matters(kind: str) -> None:
    encoder = _built(kind)
    out = encoder(_block([5, 6, 7], [7, 6, 5]))
    assert (out[0] - out[1]).abs().max() > 1e-4


def test_ngrams_are_counted_and_vanish_with_a_token_that_is_left_out() -> None:
    found = ngrams(_block([5, 6, 7, 5, 6], length=5), 2, 2**20)
    assert int((found != 0).sum()) == 5 + 4
    singles, pairs = found[0, :5].tolist(), found[0, 5:].tolist()
    assert singles[0] == singles[3]
    assert pairs[0] == pairs[3]
    assert len({*singles, *pairs}) == 3 + 3  # 5, 6, 7; 56, 67, 75
    without = ngrams(_block([5, 0, 7, 5, 6], length=5), 2, 2**20)
    assert int((without != 0).sum()) == 4 + 2
    assert set(without[0].tolist()) - {0} <= {*singles, *pairs}


def test_ngrams_lie_within_the_table() -> None:
    found = ngrams(torch.randint(1, 50_000, (50, 20), dtype=torch.int32), 5, 100)
    assert 1 <= int(found.min()) <= int(found.max()) < 100


def test_an_even_weight_gives_the_mean_of_the_vectors() -> None:
    encoder = NgramEncoder(4, width=6, longest=1, buckets=512)
    encoder.begin(0)
    block = _block([3, 4, 9])
    rows = ngrams(block, 1, 512)[0, :3]
    torch.testing.assert_close(encoder.features(block)[0], GAIN * encoder.table[rows].mean(0))


def test_a_large_weight_takes_the_whole_share() -> None:
    encoder = NgramEncoder(4, width=6, longest=1, buckets=512)
    encoder.begin(0)
    block = _block([3, 4, 9])
    row = int(ngrams(block, 1, 512)[0, 1])
    with torch.no_grad():
        encoder.weigh[row] = 10.0
    torch.testing.assert_close(encoder.features(block)[0], GAIN * encoder.table[row])


def test_the_transformer_agrees_with_torchs_own() -> None:
    mine = TransformerEncoder(4, size=20, length=6, width=8, layers=1)
    mine.begin(1)
    layer = mine.layers[0]
    other = nn.TransformerEncoderLayer(8, 4, 32, 0.0, nn.functional.gelu, batch_first=True, norm_first=True)
    with torch.no_grad():
        for target, source in (
            (other.self_attn.in_proj_weight, layer.attend.weight),
            (other.self_attn.in_proj_bias, layer.attend.bias),
            (other.self_attn.out_proj.weight, layer.gather.weight),
            (other.self_attn.out_proj.bias, layer.gather.bias),
            (other.linear1.weight, layer.widen.weight),
            (other.linear1.bias, layer.widen.bias),
            (other.linear2.weight, layer.narrow.weight),
            (other.linear2.bias, layer.narrow.bias),
        ):
            target.copy_(source)  # type: ignore[arg-type]
    block = _block([3, 4, 9], [2, 3, 4, 5, 6, 7], length=6)
    there = block != 0
    x = mine.table[block.long()] + mine.place
    theirs = masked_mean(mine.after(other(x, src_key_padding_mask=~there)), there)
    torch.testing.assert_close(mine.features(block), theirs, atol=1e-5, rtol=1e-4)


def test_attention_can_find_the_only_token_that_matters() -> None:
    """Of 20 tokens that are noise, one says the class: weights of n-grams learn to look at it."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(10, 200, (256, 20), generator=generator, dtype=torch.int32)
    target = torch.randint(0, 2, (256,), generator=generator)
    blocks[torch.arange(256), torch.randint(0, 20, (256,), generator=generator)] = (target + 1).int()
    network = Network(
        {"t": 20},
        {"a": ("t",)},
        {"a": {"out": 2}},
        width=8,
        depth=1,
        encoders={"t": {"kind": "ngrams", "width": 8, "longest": 1, "buckets": 1024}},
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(network({"t": blocks}, "a")["out"], target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1 < math.log(2)
    encoder = network.encoders["_t"]
    assert isinstance(encoder, NgramEncoder)
    weigh = encoder.weigh.detach()[:, 0]
    said = weigh[ngrams(torch.tensor([[1, 2]]), 1, 1024)[0]]
    noise = weigh[ngrams(torch.arange(10, 200)[None], 1, 1024)[0]]
    assert float(said.min()) > float(noise.mean()) + 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture_with_texts_is_rebuilt(kind: str) -> None:
    network = Network({"t": 8, "x": 1}, {"a": ("t", "x")}, {"a": {"out": 2}}, width=8, encoders={"t": KINDS[kind]})
    again = network_from(network.architecture)
    again.load_state_dict(network.state_dict())
    blocks = {"t": _block([5, 6], [7]), "x": torch.ones(2, 1)}
    assert torch.equal(network(blocks, "a")["out"], again(blocks, "a")["out"])


def test_trimmed_keeps_a_column() -> None:
    assert trimmed(_block([], [])).shape == (2, 1)
    assert trimmed(_block([1], [1, 2, 3])).shape == (2, 3)
