"""Every problem at once, each with its place; the same model behind files, keywords and overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.core.errors import SpecError
from pellucid.spec.loader import build_spec, load_spec
from pellucid.spec.problems import Problem

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

BAD = """\
name: Bad
sede: 3
data:
  kind: pricse
train:
  lr: no
  optimizer: adam
  optimiser: adma
  batch: 1.5
  batch: 3
tasks:
  f: {kind: forecast, quantiles: [0.5, .1], x: 1}
  d: 3
  forecast: {kind: forecast, forecast: 3}
  Up: {kind: forecast}
  e: {kind: control, env: x, ppo: {steps: 2, num_envs: 2}}
"""


def problems_of(text: str, tmp_path: Path, overrides: tuple[str, ...] = ()) -> dict[str, Problem]:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(file, overrides)
    found = [p for p in caught.value.problems if isinstance(p, Problem)]
    assert len(found) == len({(p.path, p.got) for p in found}), "a problem is told twice"
    return {".".join(p.path): p for p in found}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_examples_load(file: Path) -> None:
    assert load_spec(file).sha() == load_spec(file).sha()


def test_every_problem_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems_of(BAD, tmp_path, ("train.lrr=1", "seed=012:1", "name.x=3"))
    lines = {path: int(p.where.rpartition(":")[2]) for path, p in found.items() if not p.where.startswith("--set")}
    assert lines == {
        "name": 1,
        "sede": 2,
        "data.kind": 4,
        "train.lr": 6,
        "train.optimizer": 7,
        "train.optimiser": 8,
        "train.batch": 10,
        "tasks.f.quantiles": 12,
        "tasks.f.x": 12,
        "tasks.d": 13,
        "tasks.forecast.forecast": 14,
        "tasks.Up": 15,
        "tasks.e.ppo.minibatch": 16,
    }
    assert {path: p.where for path, p in found.items() if p.where.startswith("--set")} == {
        "train.lrr": "--set train.lrr",
        "seed": "--set seed",
        "name.x": "--set name.x",
    }


def test_got_allowed_and_nearest(tmp_path: Path) -> None:
    found = problems_of(BAD, tmp_path)
    assert found["sede"].near == "did you mean 'seed'?"
    assert found["data.kind"].near == "did you mean 'prices'?"
    assert found["train.optimizer"].near == "did you mean 'optimiser'?"
    assert found["train.optimiser"].near.startswith("did you mean 'adam")
    assert found["train.lr"].got == "'no'"
    assert found["train.lr"].allowed.startswith("a number > 0")
    assert "at most num_envs * steps = 4" in found["tasks.e.ppo.minibatch"].allowed


def test_one_problem_is_three_lines(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("name: a\ndata: {kind: table, source: iris, target: y}\ntrain:\n  udpates: 3\n")
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("train.udpates: got an unknown key; allowed: updates,")
    assert lines[1] == f"  where: {file}:4"
    assert lines[2] == "  mend:  did you mean 'updates'?"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("", "tasks"),
        ("tasks: {f: {kind: forecast}}", "tasks.f.kind"),
        ("tasks: {f: {kind: classify}}", "tasks.f.kind"),
        ("data: {kind: table, source: iris, target: y}\ntasks: {f: {kind: volatility}}", "tasks.f.kind"),
        ("data: {kind: prices, source: planted}", "tasks"),
        ("data: {kind: prices, source: planted}\ntasks: {f: {kind: regress}}", "tasks.f.kind"),
        ("data: {kind: table, source: iris, target: y, drop: [y]}", "data.drop"),
        ("data: {kind: table, source: iris, target: y, id: y}", "data.id"),
        ("data: {kind: table, source: iris}", "data.target"),
        (
            "data: {kind: prices, source: planted, start: 2001-01-02, end: 2001-01-02}\ntasks: {f: {kind: forecast}}",
            "data.end",
        ),
        ("data: {kind: prices, source: planted, start: 2001}\ntasks: {f: {kind: forecast}}", "data.start"),
        ("data: {kind: prices, source: planted, start: '2001-02-30'}\ntasks: {f: {kind: forecast}}", "data.start"),
        (
            "data: {kind: table, source: iris, target: y}\ntasks: {f: {kind: classify}, g: {kind: regress}}",
            "tasks.g",
        ),
        ("data: {kind: table, source: iris, target: y}\nseed: true", "seed"),
        ("data: {kind: table, source: iris, target: y}\nseed: '1'", "seed"),
        ("data: {kind: table, source: iris, target: y}\ntrain: {lr: .inf}", "train.lr"),
        ("data: {kind: table, source: iris, target: y}\ntrain:", "train"),
    ],
)
def test_cross_checks_and_mistyped_values(body: str, path: str, tmp_path: Path) -> None:
    assert list(problems_of("name: a\n" + body, tmp_path)) == [path]


def test_a_spec_that_is_no_mapping(tmp_path: Path) -> None:
    assert problems_of("- 1\n- 2", tmp_path)[""].allowed.startswith("a mapping")
    assert set(problems_of("# nothing", tmp_path)) == {"name", "tasks"}


def test_files_that_are_no_spec(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("name: a")
    with pytest.raises(SpecError, match=r"no such spec file(.|\n)*real.yaml"):
        load_spec(tmp_path / "reel.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="UTF-8"):
        load_spec(tmp_path / "b.yaml")


def test_overrides_are_yaml_and_come_last() -> None:
    spec = load_spec(
        ROOT / "examples/stocks.yaml",
        ["train.lr=3e-4", "data.source=planted:3", "tasks.forecast.quantiles=[.1, .9]", "tasks.trade.ppo.steps=8"],
    )
    assert spec.train.lr == 3e-4
    assert spec.data is not None
    assert spec.data.source == "planted:3"
    assert spec.to_json()["tasks"]["forecast"]["quantiles"] == [0.1, 0.9]
    assert spec.to_json()["tasks"]["trade"]["ppo"]["steps"] == 8


@pytest.mark.parametrize("override", ["train.lr", "=3", "train..lr=3", "train.lr=[1", "train.lr.x=1"])
def test_malformed_overrides_are_problems(override: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(ROOT / "examples/stocks.yaml", [override])
    assert all(isinstance(p, Problem) and p.where.startswith("--set") for p in caught.value.problems)


def test_a_problem_in_an_overridden_section_is_the_overrides(tmp_path: Path) -> None:
    text = "name: a\ntasks: {t: {kind: control, env: E-v0}}\ntrain:\n  lr: 0.1\n"
    assert problems_of(text, tmp_path, ("train={lr: no}",))["train.lr"].where == "--set train"


def test_keywords_give_the_same_spec_as_the_file() -> None:
    from pellucid.spec.model import NetworkSpec, TableData, TrainSpec

    built = build_spec(
        name="cancer",
        data=TableData(kind="table", source="breast_cancer", target="target"),
        network=NetworkSpec(width=128, depth=3, activation="silu"),
        train=TrainSpec(updates=300, noise=0.5, weight_decay=0.3, schedule="cosine", warmup=0.05),
    )
    assert built.sha() == load_spec(ROOT / "examples/table.yaml").sha()


def test_keyword_problems_say_keyword() -> None:
    with pytest.raises(SpecError) as caught:
        build_spec(name="a", tasks={"t": {"kind": "control", "env": "CartPole-v1"}}, lr=3)
    (problem,) = caught.value.problems
    assert isinstance(problem, Problem)
    assert (problem.where, problem.path, problem.got) == ("keyword", ("lr",), "an unknown key")


def test_relative_sources_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "examples/stocks_csv.yaml").read_text()
    (tmp_path / "s.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    spec = load_spec("s.yaml")
    assert spec.source == str(tmp_path / "prices.csv")
    assert spec.sha() == load_spec(ROOT / "examples/stocks_csv.yaml").sha(), "the folder is no part of the identity"
    assert spec.replace({"train.updates": 3}).source == spec.source
    assert load_spec(ROOT / "examples/stocks.yaml").source == "sp500"


def test_a_misspelt_file_and_a_table_instead_of_a_spec(tmp_path: Path) -> None:
    (tmp_path / "stocks.yaml").write_text("name: x\n")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "stokcs.yaml")
    assert caught.value.mend == "did you mean 'stocks.yaml'?"
    with pytest.raises(SpecError, match="data, not a spec") as caught:
        load_spec("loans.csv")
    assert caught.value.mend == "pellucid fit --data loans.csv --target COLUMN"


def test_an_override_of_a_section_that_does_not_exist_is_placed_at_its_option() -> None:
    spec = Path(__file__).parents[2] / "examples/table.yaml"
    with pytest.raises(SpecError, match="did you mean 'train'") as caught:
        load_spec(spec, ["tran.updates=3"])
    assert caught.value.where == "--set tran.updates"
