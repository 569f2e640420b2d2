"""What is said of an action that is several choices at once."""

from __future__ import annotations

import math

from pellucid.report.explained import main_output, said

OUTPUTS = ["action_0=0", "action_0=1", "action_1=0", "action_1=1", "action_1=2", "value"]


def explanation(prediction: list[float], outputs: list[str]) -> dict[str, object]:
    return {"outputs": outputs, "unit": "logit", "prediction": [prediction], "keys": ["x"], "players": []}


def test_every_choice_is_named_with_its_own_probability() -> None:
    prediction = [math.log(3.0), 0.0, 0.0, 0.0, math.log(8.0), 99.0]
    one = explanation(prediction, OUTPUTS)
    assert said(one, 0) == "chooses action_0=0 (75 %), action_1=2 (80 %)"
    assert OUTPUTS[main_output(one)] == "action_1=2"  # one of those chosen


def test_one_choice_is_told_with_what_it_was_chosen_among() -> None:
    one = explanation([math.log(3.0), 0.0, 5.0], ["action_0", "action_1", "value"])
    assert said(one, 0) == "chooses action_0 (75 %; action_1 25 %)"
