"""What must be exact: a version against itself, a delta that is dropped, a head that is moved back."""

from __future__ import annotations

import json

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pellucid
from pellucid.adapt import build
from pellucid.assemble import problem
from pellucid.nn.delta import parameters_sha
from pellucid.runs.artefact import load_program
from pellucid.runs.diffing import diff_versions
from pellucid.runs.live import live_side
from pellucid.runs.policies import with_position
from tiny_programs import bank_spec, leaky, market_spec


def test_a_version_against_itself_is_empty_stored_and_live(market, bank):
    for home, name in ((market, "market"), (bank, "bank")):
        found = diff_versions(home.store, f"{name}@1", name)
        assert found["empty"]
        assert (found["tasks"], found["gates"], found["notes"], found["verdict"]) == ([], [], [], "equivalent")
        assert home.store.looks(name) == 0
    program = pellucid.load("bank", bank.store)
    assert pellucid.diff(program, program, leaky(50, seed=3), "y")["empty"]
    bare = load_program(market.store, market.store.resolve("market"))
    rows = problem(market_spec().within(market.folder)).rows
    assert live_side("a", bare, rows).sha == live_side("b", bare, rows).sha


PLACES = ["encoders._leak.project", "encoders._a.project", "trunk.1", ""]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["lora", "adalora"]), min_size=1, max_size=3),
    places=st.lists(st.sampled_from(PLACES), min_size=3, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_dropping_deltas_gives_every_earlier_program_bit_by_bit(fitted_bank, kinds, places, seed):
    program = load_program(fitted_bank.store, fitted_bank.store.resolve("bank"))
    blocks = program.encode(problem(bank_spec(), leaky(40, seed=1)).rows)
    sha, seen, deltas = parameters_sha(program.network), [program(blocks, "y")], []
    for i, kind in enumerate(kinds):
        options = {"lora": {"rank": 2, "alpha": 3.0}, "adalora": {"start_rank": 3, "budget": 1.0, "steps": 5}}[kind]
        delta = build(kind, {**options, "targets": (places[i],) if places[i] else (), "seed": seed + i})
        delta.attach(program.network)
        with torch.no_grad():
            for parameter in delta.parameters().values():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed % 1000 + i)))
        deltas.append(delta)
        seen.append(program(blocks, "y"))
        assert not torch.equal(seen[-1], seen[-2])
    for delta in reversed(deltas):
        assert torch.equal(program(blocks, "y"), seen.pop())
        delta.detach()
        assert parameters_sha(program.network) == sha
    assert torch.equal(program(blocks, "y"), seen.pop())


def test_after_a_rollback_everything_is_what_it_was(market):
    """A second fit is accepted and rolled back: equal parameters and buffers, equal answers, equal evidence."""
    store = market.store
    rows = with_position(problem(market_spec().within(market.folder)).rows, 1.0)

    def state():
        program = load_program(store, store.resolve("market"))
        tensors = {k: v.clone() for k, v in program.network.state_dict().items()}
        answers = [program(program.encode(rows), task) for task in ("forecast", "risk", "trade")]
        return tensors, torch.cat(answers, 1), program.encoding.to_json()

    before, answers, encoding = state()
    evidence = store.blobs.get_json(store.resolve("market").manifest["blobs"]["evidence"])
    other = pellucid.fit(market_spec(seed=1).within(market.folder), store=store)
    other.accept(because="to roll it back", override_gates=True)
    changed, moved, _ = state()
    assert not torch.equal(answers, moved)
    pellucid.load("market", store).rollback(1, because="as it was")
    after, again, same = state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert any(not torch.equal(before[k], changed[k]) for k in before)
    assert torch.equal(answers, again)
    assert encoding == same
    assert store.blobs.get_json(store.resolve("market").manifest["blobs"]["evidence"]) == evidence
    assert json.dumps(store.resolve("market").manifest, sort_keys=True) == json.dumps(
        store.resolve("market@1").manifest, sort_keys=True
    )
