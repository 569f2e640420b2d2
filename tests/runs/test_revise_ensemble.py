"""A correction of the tabular default: the forbidden field enters hidden layers and additive path by one matrix."""

import pytest

from pellucid.runs.fit import fit
from pellucid.runs.revise import ReviseConfig, revise
from pellucid.spec.presets import TABLE
from tiny_programs import Home, bank_spec, leaky


@pytest.mark.slow
def test_the_tabular_default_can_be_corrected(tmp_path):
    home = Home(tmp_path)
    leaky().to_csv(home.folder / "bank.csv", index=False)
    spec = bank_spec(**{f"network.{key}": value for key, value in TABLE["network"].items()})
    spec = spec.model_copy(update={"train": type(spec.train)(**TABLE["train"])})
    fit(spec.within(home.folder), home.store)
    because = "filled in after the payment"
    home.store.add_feedback("bank", home.store.resolve("bank").ref, "ignore", {"field": "leak"}, because=because)
    done = revise(home.store, "bank@1", ReviseConfig(updates=150, budget=20.0))
    found = done.measured["effects"]["y/leak"]
    assert found["present"]
    assert found["reduction"] >= 0.8
    assert found["held_fixed"][0]["correlation"] >= 0.95
    assert found["control_reduction"] <= 0.25 * found["reduction"]
    share = home.store.resolve(done.ref).manifest["parameters"]
    assert 0 < share["touched"] <= 0.05 * share["total"]
