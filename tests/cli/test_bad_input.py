"""Bad input on the command line: three lines (what, where, mend) on stderr, exit code 2, nothing lost.

One table. Each case is a command as a user would type it in a folder that holds two programs, good files and bad ones.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace

import pytest
from files_that_are_wrong import SPECS, price_files, table_files
from home_folder import Home, fingerprint, three_lines, told

from pellucid.cli.main import main


@dataclass(frozen=True)
class Case:
    """A command and what must be said.

    Args:
        command: words; {open}, {rejected}, {stale} are candidates of `bank`.
        phrases: each stands somewhere in the message.
    """

    command: str
    phrases: tuple[str, ...]
    code: int = 2


def case(command: str, *phrases: str, code: int = 2) -> Case:
    return Case(command, phrases, code)


PRICES = "fit stocks.yaml --name other --data"
BANK = "fit bank.yaml --name other --data"

CASES = {
    "prices": [
        case(f"{PRICES} nowhere.csv", "no such file", "nowhere.csv", "sp500, nasdaq, planted, random_walk"),
        case(f"{PRICES} prces.csv", "did you mean 'prices.csv'?"),
        case(f"{PRICES} .", "a folder, not a file"),
        case("fit stocks.yaml --set data.source=sp501", "did you mean 'sp500'?"),
        case("fit stocks.yaml --set data.source=plantd", "did you mean 'planted'?"),
        case("fit stocks.yaml --set data.source=planted:x", "'x' is not a seed", "planted:3"),
        case(f"{PRICES} empty.csv", "the file is empty", "empty.csv"),
        case(f"{PRICES} header.csv", "no rows below the header"),
        case(f"{PRICES} misspelt.csv", "missing column 'volume'", "did you mean 'volme'?"),
        case(f"{PRICES} bank.csv", "missing columns 'date', 'open'", "the file has income, debt, city, paid"),
        case(f"{PRICES} dates.csv", "line 6: '5/1/1999' is not a date (YYYY-MM-DD)"),
        case(f"{PRICES} unsorted.csv", "line 7", "dates must increase"),
        case(f"{PRICES} repeated.csv", "line 7", "repeats line 6"),
        case(f"{PRICES} gap.csv", "line 6: close is missing"),
        case(f"{PRICES} nan.csv", "line 6: close is missing"),
        case(f"{PRICES} infinite.csv", "line 6: close 'inf' is not a finite number"),
        case(f"{PRICES} negative.csv", "line 6: close '-3' is not positive"),
        case(f"{PRICES} words.csv", "460 problems:", "line 2: close 'x'", "... and 440 more"),
        case(f"{PRICES} short.csv", "19 rows are too few", "scale_days + window + horizon = 50"),
        case(f"{PRICES} latin.csv", "byte 0xfc in line 2 is not UTF-8", "latin.csv"),
        case(f"{PRICES} bytes.csv", "cannot be read", "bytes.csv"),
        case("fit stocks.yaml --set data.window=400", "window 400 is longer than scale_days 40"),
        case("fit stocks.yaml --set data.start=2050-01-01", "no day between", "the series runs from 1999-01-04"),
        case("fit stocks.yaml --set data.start=2000-13-01", "data.start", "YYYY-MM-DD"),
        case("fit stocks.yaml --name o --set review.rows=9999", "rows cannot give up 9999 to the review set"),
        case("fit stocks.yaml --name o --set review.rows=400 --set evidence.folds=9", "walk-forward", "fewer folds"),
        case("fit stocks.yaml --data renamed.csv", "none of the 60 review rows", "PRICES/DATE then"),
    ],
    "tables": [
        case(f"{BANK} nowhere.csv", "no such file", "breast_cancer, iris"),
        case("fit --data bnk.csv --target paid", "did you mean 'bank.csv'?"),
        case("fit --data brest_cancer --target target", "did you mean 'breast_cancer'?"),
        case(f"{BANK} t_empty.csv", "the file is empty"),
        case(f"{BANK} t_header.csv", "no rows"),
        case(f"{BANK} t_one_row.csv", "no column is left to learn from", "'income' was left out"),
        case(f"{BANK} t_two_rows.csv", "1 rows cannot be dealt into 2 folds", "fewer folds"),
        case(f"{BANK} t_five_rows.csv --set evidence.folds=50", "4 rows cannot be dealt into 50 folds"),
        case(f"{BANK} t_five_rows.csv --set review.share=0.99", "cannot give up 5 to the review set"),
        case(f"{BANK} t_one_class.csv", "the target 'paid' is 'yes' in every row", "two values"),
        case(f"{BANK} t_no_label.csv", "the target 'paid' is empty in every row"),
        case(f"{BANK} t_id_only.csv --set data.id=id", "no column is left to learn from"),
        case(f"{BANK} t_constant.csv", "no column is left to learn from", "'a' was left out: it is '1' in every row"),
        case(f"{BANK} t_infinite.csv", "column 'income' is infinite in row 3"),
        case(f"{BANK} t_word.csv --set data.read.bad_rows=0", "line 4: 'income' holds 'lots', which is no number"),
        case("fit --data t_huge_target.csv --target y", "column 'y' is infinite in row 1"),
        case(f"{BANK} t_two_names.csv", "column names repeat: 'income'"),
        case(f"{BANK} t_no_name.csv", "column 2 has no name"),
        case(f"{BANK} t_more_cells.csv --set data.read.bad_rows=0", "the first, line 4: 5 cells, the header names 4"),
        case("fit --data t_many_classes.csv --target y", "60 different values", "too many classes"),
        case(f"{BANK} t_two_ids.csv --set data.id=id", "the id 'id' repeats", "rows 1, 2"),
        case(f"{BANK} t_latin.csv --set data.read.encoding=utf-8", "is not text in utf-8", "data.read.encoding"),
        case(f"{BANK} t_bytes.csv", "cannot be read as text: byte 0x00 in line 1"),
        case("fit --data sqlite:///nowhere.db --target y", "there is no such database"),
        case("fit --data 'part-*.csv' --target y", "no file matches this pattern"),
        case("fit --data bank.csv --target pad", "no column 'pad' (target)", "did you mean 'paid'?"),
        case("fit bank.yaml --set data.drop=[incom]", "no column 'incom' (drop)", "did you mean 'income'?"),
        case("fit bank.yaml --set data.drop=[income,debt,city]", "no column is left to learn from"),
        case("fit bank.yaml --set tasks.x.kind=regress", "column 'paid' holds 'yes' in row 1, which is no number"),
        case("check data bank.csv --target pad", "did you mean 'paid'?"),
        case("explain bank --data t_bytes.csv", "cannot be read as text"),
        case("explain bank --data prices.csv", "3 of 3 columns are missing", "'income', 'debt', 'city'"),
        case("evaluate bank --data t_no_label.csv", "is empty in every row"),
        case("evaluate stocks --data nowhere.csv", "no such file"),
        case("evaluate stocks --data prices.csv --store .pellucid --jsn", "did you mean '--json'?"),
    ],
    "specs": [
        case("fit nowhere.txt", "no such spec file", "bank.yaml"),
        case("fit stokcs.yaml", "did you mean 'stocks.yaml'?"),
        case("fit bank.csv", "data, not a spec", "pellucid fit --data bank.csv --target COLUMN"),
        case("fit one_key.yaml", "train.lrr", "one_key.yaml:4", "did you mean 'lr'?"),
        case(
            "fit many_keys.yaml",
            "7 problems in the spec.",
            "many_keys.yaml:2",
            "did you mean 'seed'?",
            "did you mean 'window'?",
            "tasks.forecast.kind: got 'forecats'",
            "tasks.risk.horizon: got 'five'; allowed: a whole number",
            "train.updates: got -3",
            "train.lr: got 'fast'",
            "did you mean 'optimiser'?",
        ),
        case("fit empty.yaml", "2 problems in the spec.", "name: got nothing"),
        case("fit list.yaml", "got ['a', 'b']", "a mapping"),
        case("fit broken.yaml", "not YAML", "broken.yaml:2"),
        case("fit binary.yaml", "not text in UTF-8"),
        case("fit no_data.yaml", "kind forecast with no data", "data.kind: prices"),
        case("fit wrong_data.yaml", "kind classify with data of kind prices", "data.kind: table"),
        case("fit no_env.yaml", "no environment 'CartPool-v1'", "did you mean 'CartPole-v1'?"),
        case("fit --env CartPool-v1", "did you mean 'CartPole-v1'?"),
        case("fit --env nosuchmodule:Env-v0", "No module named 'nosuchmodule'"),
        case("check env CartPool-v1", "did you mean 'CartPole-v1'?"),
        case("fit pole.yaml --name bank", "'bank' learns paid; this spec learns balance", "--name"),
        case("fit bank.yaml --name stocks", "'stocks' learns forecast, risk, trade; this spec learns"),
        case(
            "fit stocks.yaml --name o --set 'tasks.x={kind: control, env: CartPole-v1}'",
            "'CartPole-v1' observes cart_position",
            "which the data beside it do not have",
        ),
        case("fit --env given:Walk", "the environment 'Walk' was given as an object"),
        case("fit pole.yaml --data bank.csv", "'pole' learns from an environment and reads no rows"),
        case("fit --env CartPole-v1 --data bank.csv", "an environment needs no data"),
        case("fit --env CartPole-v1 --target paid", "an environment needs no target"),
        case("fit bank.yaml --target income", "a spec says itself what the target is", "--set data.target"),
        case("fit bank.yaml --env CartPole-v1", "a spec says itself what the env is"),
        case("fit", "nothing to learn"),
        case("fit --target paid", "nothing to learn"),
        case("fit --data bank.csv", "'bank.csv' have no target"),
        case("fit bank.yaml --name 'A b'", "name: got 'A b'", "small letters"),
        case("fit bank.yaml --set nonsense", "a dotted key, =, and a value"),
        case("fit bank.yaml --set =3", "a dotted key, =, and a value"),
        case("fit bank.yaml --set train.updates=", "train.updates: got null"),
        case("fit bank.yaml --set train.updates=many", "got 'many'; allowed: a whole number", "--set train.updates"),
        case("fit bank.yaml --set train.updates.x=3", "nothing below train.updates"),
        case("fit bank.yaml --set tran.updates=3", "did you mean 'train'?", "--set tran.updates"),
        case("fit bank.yaml --set 'train.updates=[1'", "a YAML value"),
        case("fit stocks.yaml --set tasks.trade.ppo.minibatch=9999", "at most num_envs * steps = 128"),
        case("fit stocks.yaml --set tasks.trade.env=pellucid/StockTrdng-v0", "did you mean 'pellucid/StockTrading-v0'"),
        case("fit stocks.yaml --set tasks.trade.env_options.foo=3", "unexpected keyword argument 'foo'"),
        case("check spec", "no spec file was given"),
    ],
    "versions": [
        case("explain stocks@7", "no version stocks@7", "did you mean 'stocks@1'?"),
        case("explain stcks", "no program 'stcks'; the store holds bank, stocks", "did you mean 'stocks'?"),
        case("explain @@", "'@@' does not name a version", "stocks@2 or stocks~3f2a"),
        case("show bank~zzzz", "does not name a version"),
        case("show bank~0000000", "no revision bank~0000000; there is bank@1"),
        case("evaluate stocks@9", "did you mean 'stocks@1'?"),
        case("log stcks", "did you mean 'stocks'?"),
        case("rollback stocks --to 9 --because x", "no version stocks@9", "did you mean 'stocks@1'?"),
        case("rollback stocks --to one --because x", "got 'one'; give a whole number"),
        case("rollback stocks@1 --to 1 --because x", "use 'stocks'"),
        case("rollback stocks --to 1 --because ''", "rolling back needs a reason"),
        case("report stocks --against stocks@3", "no version stocks@3"),
        case("log --store nowhere", "no store at 'nowhere'", "pellucid fit SPEC"),
        case("explain stocks --store nowhere", "no store at 'nowhere'"),
        case("check store --store nowhere", "no store"),
        case("fit bank.yaml --store bank.csv", "in the way"),
        case("fit bank.yaml --store bank.csv/x", "a file, not a folder"),
    ],
    "words": [
        case("fti bank.yaml", "no command 'fti'", "did you mean 'fit'?"),
        case("--hlep", "no option '--hlep'"),
        case("fit bank.yaml --rsume", "did you mean '--resume'?"),
        case("fit bank.yaml --algorithm pop", "did you mean 'ppo'?"),
        case("check stroe", "did you mean 'store'?"),
        case("check", "required"),
        case("diff stocks@1", "required: candidate"),
        case("explain stocks --task trad", "no task 'trad'", "forecast, risk, trade", "did you mean 'trade'?"),
        case("explain stocks --task trade --task risc", "did you mean 'risk'?"),
        case("explain stocks --method permutatoin", "did you mean 'permutation'?"),
        case("explain stocks --grain filed", "did you mean 'field'?"),
        case("explain stocks --task forecast --output q96", "did you mean 'q95'?"),
        case("explain stocks --evaluations 0", "got '0'; give a whole number of at least 2"),
        case("explain stocks --seed -1", "got '-1'; give a whole number of at least 0"),
        case("explain stocks --html .", "got '.', which is no name for a file"),
        case("report stocks --html .", "no name for a file"),
        case("diff bank@1 bank@2 --markdown .", "no name for a file"),
        case("explain stocks --at 2000-01-01", "no row for 2000-01-01", "the nearest one is 1999-12-31"),  # a Saturday
        case("explain stocks --at 1999-01-05", "only fill the windows", "the first row is 1999-03-01"),
        case("explain stocks --at 2031-01-05", "the last row is 2000-10-06"),
        case("explain stocks --at soon", "'soon' is no date and no key", "YYYY-MM-DD"),
        case("explain bank --at 999", "no row '999' among 160", "a row number below 160"),
        case("feedback add stocks@1 --ignore volme --because x", "no field 'volme'", "did you mean 'volume'?"),
        case("feedback add stocks@9 --ignore volume --because x", "no version stocks@9"),
        case("feedback add stocks@1 --ignore volume --because ' '", "feedback needs a reason"),
        case("feedback add stocks@1 --ignore volume", "required: --because"),
        case("feedback add stocks@1 --ignore volume --because x --supersedes 99", "no feedback 99 on 'stocks'"),
        case("feedback list stcks", "did you mean 'stocks'?"),
        case("revise stocks@1", "no open feedback on 'stocks'", "feedback add stocks@1 --ignore FIELD"),
        case("revise stocks@1 --method lra", "did you mean 'lora'?"),
        case("revise stocks@1 --share 7", "got '7'; give a number between 0 and 1"),
        case("revise stocks@1 --budget nan", "got 'nan'; give a number of at least 0"),
        case("revise stocks@1 --updates 0", "got '0'; give a whole number of at least 1"),
        case("demo --folder .", "holds something that no demo made"),
        case("demo --folder bank.csv", "holds something that no demo made"),
    ],
    "decisions": [
        case("accept bank~0000000 --because x", "no revision bank~0000000"),
        case("accept {rejected} --because x", "cannot be accepted: it was rejected already"),
        case("accept {stale} --because x --override-gates", "stale: review again", "the head is bank@2"),
        case("accept bank@1 --because x", "it was accepted as bank@1 already"),
        case("reject {rejected} --because x", "cannot be rejected: it was rejected already"),
        case("reject bank@1 --because x", "it was accepted as bank@1 already"),
        case("reject {open} --because ''", "rejecting needs a reason"),
        case("diff stocks@1 bank@1", "have no task in common", "compare versions of the same program"),
        case("diff bank@1 bank@9", "no version bank@9", "did you mean 'bank@"),
    ],
}
ALL = [(group, each) for group, cases in CASES.items() for each in cases]


@pytest.fixture(scope="module")
def place(made_once: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One folder for all cases: none of them may change its store."""
    folder = tmp_path_factory.mktemp("bad") / "home"
    shutil.copytree(made_once.folder, folder)
    files = {
        **price_files((folder / "prices.csv").read_text()),
        **table_files((folder / "bank.csv").read_text()),
        **SPECS,
        "renamed.csv": (folder / "prices.csv").read_text(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return replace(made_once, folder=folder)


@pytest.mark.parametrize(("group", "each"), ALL, ids=[f"{group}: {each.command}" for group, each in ALL])
def test_bad_input_is_told_in_three_lines(
    group: str, each: Case, place: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place.folder)
    before = fingerprint(place.store)
    command = each.command
    for name in ("open", "rejected", "stale"):
        command = command.replace(f"{{{name}}}", str(getattr(place, name)))
    code = main(shlex.split(command))
    out, err = capsys.readouterr()
    assert code == each.code, err
    three_lines(told(err))
    for phrase in each.phrases:
        assert phrase in told(err), err
    assert out == ""
    assert fingerprint(place.store) == before
