"""Files that a user may have and that cannot be learned from, by name."""

from __future__ import annotations

from collections.abc import Callable


def _cell(row: str, column: int, text: str) -> str:
    cells = row.split(",")
    cells[column] = text
    return ",".join(cells)


def _with(lines: list[str], number: int, change: Callable[[str], str]) -> list[str]:
    """The lines with one of them (counted from 1, as in messages) changed."""
    return [change(line) if i == number else line for i, line in enumerate(lines, start=1)]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def price_files(good: str) -> dict[str, str | bytes]:
    """Wrong price files made from a good one."""
    lines = good.splitlines()
    head, rows = lines[0], lines[1:]
    return {
        "empty.csv": "",
        "header.csv": head + "\n",
        "misspelt.csv": _text([head.replace("volume", "volme"), *rows]),
        "dates.csv": _text(_with(lines, 6, lambda row: _cell(row, 0, "5/1/1999"))),
        "unsorted.csv": _text([*lines[:5], lines[6], lines[5], *lines[7:]]),
        "repeated.csv": _text([*lines[:6], *lines[5:]]),
        "gap.csv": _text(_with(lines, 6, lambda row: _cell(row, 4, ""))),
        "nan.csv": _text(_with(lines, 6, lambda row: _cell(row, 4, "NaN"))),
        "infinite.csv": _text(_with(lines, 6, lambda row: _cell(row, 4, "inf"))),
        "negative.csv": _text(_with(lines, 6, lambda row: _cell(row, 4, "-3"))),
        "words.csv": _text([head, *[_cell(row, 4, "x") for row in rows]]),
        "short.csv": _text(lines[:20]),
        "latin.csv": (head + ",note\n" + "\n".join(row + ",Zürich" for row in rows)).encode("latin-1"),
        "bytes.csv": bytes(range(256)) * 10,
    }


def table_files(good: str) -> dict[str, str | bytes]:
    """Wrong tables made from a good one with the columns income, debt, city, paid."""
    lines = good.splitlines()
    head, rows = lines[0], lines[1:]
    flags = ["yes" if i % 2 else "no" for i in range(40)]
    return {
        "t_empty.csv": "",
        "t_header.csv": head + "\n",
        "t_one_row.csv": _text(lines[:2]),
        "t_two_rows.csv": _text([head, "1,2,york,yes", "3,4,bath,no"]),
        "t_five_rows.csv": _text([head, "1,2,york,yes", "3,4,bath,no", "5,2,york,yes", "6,4,bath,no", "7,4,bath,no"]),
        "t_one_class.csv": _text([head, *[_cell(row, 3, "yes") for row in rows]]),
        "t_no_label.csv": _text([head, *[_cell(row, 3, "") for row in rows]]),
        "t_id_only.csv": _text(["id,paid", *[f"{i},{flag}" for i, flag in enumerate(flags)]]),
        "t_constant.csv": _text(["a,b,paid", *[f"1,x,{flag}" for flag in flags]]),
        "t_infinite.csv": _text(_with(lines, 4, lambda row: _cell(row, 0, "inf"))),
        "t_word.csv": _text(_with(lines, 4, lambda row: _cell(row, 0, "lots"))),
        "t_huge_target.csv": _text(["a,y", *[f"{i},{10**400 + i}" for i in range(40)]]),
        "t_two_names.csv": _text([head.replace("debt", "income"), *rows]),
        "t_no_name.csv": _text([head.replace("debt", ""), *rows]),
        "t_more_cells.csv": _text(_with(lines, 4, lambda row: row + ",more")),
        "t_many_classes.csv": _text(["a,y", *[f"{i},word{i}" for i in range(60)]]),
        "t_two_ids.csv": _text(["id,a,paid", *[f"{i // 2},{i},{flag}" for i, flag in enumerate(flags)]]),
        "t_bytes.csv": bytes(range(256)) * 10,
        "t_latin.csv": _text([head, "1,2,Zürich,yes", "2,3,Bath,no"]).encode("latin-1"),
    }


SPECS: dict[str, str | bytes] = {
    "one_key.yaml": "name: x\ndata: {kind: prices, source: planted}\ntasks: {f: {kind: forecast}}\ntrain: {lrr: 3}\n",
    "many_keys.yaml": """\
name: x
sed: 1
data: {kind: prices, source: planted, widow: 5}
tasks:
  forecast: {kind: forecats}
  risk: {kind: volatility, horizon: five}
train: {updates: -3, lr: fast, optimizer: adam}
""",
    "empty.yaml": "",
    "list.yaml": "- a\n- b\n",
    "broken.yaml": "name: [a\n",
    "binary.yaml": bytes(range(256)),
    "no_data.yaml": "name: x\ntasks: {f: {kind: forecast}}\n",
    "wrong_data.yaml": "name: x\ndata: {kind: prices, source: planted}\ntasks: {f: {kind: classify}}\n",
    "no_env.yaml": "name: x\ntasks: {balance: {kind: control, env: CartPool-v1}}\ntrain: {updates: 5}\n",
    "pole.yaml": "name: pole\ntasks: {balance: {kind: control, env: CartPole-v1}}\ntrain: {updates: 2}\n",
}
