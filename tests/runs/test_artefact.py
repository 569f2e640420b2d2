"""A program as blobs and back: the same answers bit for bit, from JSON and tensors alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pellucid.assemble import problem
from pellucid.core.errors import CorruptBlob, DeltaError
from pellucid.core.rows import Rows
from pellucid.nn.delta import parameters_sha
from pellucid.runs.artefact import id_column, load_program, load_rows, load_spec, provenance, save_program, save_rows
from tiny_programs import bank_spec, leaky, market_spec


def test_a_program_comes_back_bit_by_bit(market, tmp_path):
    store = market.store
    program = load_program(store, store.resolve("market"))
    blobs = save_program(store, program)
    assert {k: blobs[k] for k in ("program", "weights")} == {
        k: store.resolve("market").manifest["blobs"][k] for k in ("program", "weights")
    }
    assert json.loads(json.dumps(store.blobs.get_json(blobs["program"])))["tasks"][0]["name"] == "forecast"
    again = load_program(store, store.resolve("market"))
    assert parameters_sha(again.network) == parameters_sha(program.network)
    rows = problem(market_spec().within(market.folder)).rows
    for name in ("forecast", "risk"):
        assert torch.equal(again(again.encode(rows), name), program(program.encode(rows), name))
    assert not again.network.training


def test_the_spec_finds_its_data_when_store_and_data_move_together(market, tmp_path):
    moved = market.copy(tmp_path / "elsewhere" / "deep")
    (market.folder / "prices.csv").unlink()
    spec = load_spec(moved.store, moved.store.resolve("market"))
    assert problem(spec).rows is not None
    assert spec.sha() == market_spec().sha()


def test_rows_come_back(bank):
    store = bank.store
    rows = Rows(
        np.array(["k0", "k1"]),
        {
            "x": np.array([0.1, np.nan]),
            "lags": np.arange(6.0).reshape(2, 3),
            "city": np.array(["Graz", ""], dtype=object),
        },
        extra={"sigma": np.array([0.01, 0.02])},
    )
    found = load_rows(store, save_rows(store, rows))
    assert found.keys.tolist() == ["k0", "k1"]
    assert found.fields["city"].tolist() == ["Graz", ""]
    for group in ("fields", "extra"):
        for name, values in getattr(rows, group).items():
            if name != "city":
                assert np.array_equal(getattr(found, group)[name], values, equal_nan=True)


def test_a_damaged_or_missing_blob_is_named(bank):
    store, entry = bank.store, bank.store.resolve("bank")
    path = store.blobs.path(entry.manifest["blobs"]["weights"])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptBlob) as caught:
        load_program(store, entry)
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(CorruptBlob):
        load_program(store, entry)


def test_a_delta_of_another_base_is_refused(bank):
    from pellucid.adapt import build

    store = bank.store
    program = load_program(store, store.resolve("bank"))
    delta = build("lora", {"rank": 1, "alpha": 1.0, "targets": ("encoders._leak.project",), "seed": 0})
    delta.attach(program.network)
    program.deltas = (delta,)
    blobs = {**store.resolve("bank").manifest["blobs"], **save_program(store, program)}
    other = load_program(store, store.resolve("bank"))
    with torch.no_grad():
        other.network.bias.add_(1.0)
    blobs["weights"] = store.blobs.put_tensors(dict(other.network.state_dict()))
    manifest = {**store.resolve("bank").manifest, "blobs": blobs}
    ref = store.propose("bank", manifest, parent="bank@1", kind="fit", because="mixed up", claim={})
    with pytest.raises(DeltaError):
        load_program(store, store.resolve(ref))


def test_the_id_column(bank, tmp_path):
    from pellucid.runs.fit import fit
    from pellucid.store.store import Store

    assert id_column(bank.store, bank.store.resolve("bank")) is None
    store = Store(tmp_path / "ids")
    frame = leaky(60).assign(no=range(60))
    fit(bank_spec(**{"data.id": "no", "data.source": "dataframe"}), store, source=frame)
    assert id_column(store, store.resolve("bank")) == "no"


def test_provenance_has_no_clock():
    made = provenance(seed=1, data_sha="d", spec_sha="s")
    assert made == provenance(seed=1, data_sha="d", spec_sha="s")
    assert set(made) == {"seed", "data_sha", "spec_sha", "pellucid", "torch", "numpy", "python"}
