"""`check_explainer`: the axioms, a brute-force reference, and whether the standard errors tell the truth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pellucid.core.random import stream
from pellucid.explain.estimate import Estimate, Explainer
from pellucid.explain.game import Game
from pellucid.testing.games import Array, Function, ToyProgram, brute_force, network, toy_rows

SIGMAS = 6.0  # gains are skewed (few orders matter), so the band is wide; `_check_errors` judges the errors closely
MANY = 10_000  # evaluations a row: one background row may dominate the error, so each needs many passes
COVERAGE = (0.85, 0.999)


def check_explainer(explainer: Explainer, *, seed: int = 0) -> None:
    """Check a Shapley value estimator.

    On small random games: efficiency, dummy and linearity to 1e-9, symmetry and the brute-force reference to 1e-6 (an
    exact method) or within six standard errors; the mean over seeds unbiased; nominal 95 % intervals cover between
    85 % and 99.9 %; the same seed gives the same numbers, also in other company; every background row is used equally.

    Args:
        explainer: as `explain.estimate.Explainer`.
        seed: of the random games.
    Raises:
        AssertionError: says which property is broken, and by how much.
    """
    for name, function, d in _closed_forms():
        _check_reference(explainer, name, function, d, seed)
    generator = stream(seed, "check_explainer/network")
    for d in (1, 2, 4, 5):
        _check_reference(explainer, f"a random network of {d}", network(generator, d, 2), d, seed)
    _check_axioms(explainer, seed)
    _check_repetition(explainer, seed)
    _check_equal_use(explainer, seed)
    _check_errors(explainer, seed)


def _closed_forms() -> list[tuple[str, Function, int]]:
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)

    def xor(x: Tensor) -> Tensor:
        return ((x[:, :3] > 0).sum(1, keepdim=True) % 2).double()

    return [
        ("linear", lambda x: (x @ weights)[:, None], 5),
        ("product", lambda x: x.prod(1, keepdim=True), 4),
        ("max", lambda x: x.amax(1, keepdim=True), 4),
        ("exclusive or", xor, 4),
    ]


def _data(seed: int, name: str, n: int, b: int, d: int) -> tuple[Array, Array]:
    generator = stream(seed, f"check_explainer/{name}")
    return generator.normal(size=(n, d)), generator.normal(size=(b, d))


def _explain(
    explainer: Explainer, function: Function, x: Array, background: Array, *, seed: int, evaluations: int = 500
) -> Estimate:
    program = ToyProgram(function, x.shape[1], function(torch.from_numpy(background[:1])).shape[1])
    rows = toy_rows(x)
    players = program.schema.players(program.tasks["toy"].inputs)
    game = Game(program, "toy", program.encode(rows), program.encode(toy_rows(background)), players)
    return explainer(game, [str(key) for key in rows.keys.tolist()], evaluations=evaluations, seed=seed)


def _check_reference(explainer: Explainer, name: str, function: Function, d: int, seed: int) -> None:
    x, background = _data(seed, name, 3, 7, d)
    truth = brute_force(function, x, background)
    estimate = _explain(explainer, function, x, background, seed=seed, evaluations=MANY)
    assert estimate.values.shape == truth.shape, f"{name}: shape {tuple(estimate.values.shape)}, not {truth.shape}."
    off = np.abs(estimate.values.numpy() - truth)
    allowed = SIGMAS * estimate.error.numpy() + 1e-6
    assert (off <= allowed).all(), f"{name}: off by {off.max():.3g} with error {estimate.error.max():.3g}."
    assert np.allclose(estimate.prediction.numpy(), function(torch.from_numpy(x)).numpy()), (
        f"{name}: prediction is off."
    )
    base = function(torch.from_numpy(background)).numpy().mean(0)
    assert np.allclose(estimate.base.numpy(), base), f"{name}: base is not the mean output of the background."


def _check_axioms(explainer: Explainer, seed: int) -> None:
    x, background = _data(seed, "axioms", 4, 8, 5)
    generator = stream(seed, "check_explainer/axioms/functions")
    one, two = network(generator, 4, 2), network(generator, 4, 2)

    def f(z: Tensor) -> Tensor:
        return one(z[:, :4])  # the last player is a dummy

    def g(z: Tensor) -> Tensor:
        return two(z[:, 1:])

    ef, eg = (_explain(explainer, function, x, background, seed=seed) for function in (f, g))
    gap = float((ef.values.sum(1) - (ef.prediction - ef.base)).abs().max())
    assert gap <= 1e-9, f"efficiency: values miss prediction - base by {gap:.2g}."
    dummy = max(float(ef.values[:, 4].abs().max()), float(eg.values[:, 0].abs().max()))
    assert dummy <= 1e-9, f"dummy: a player that is never read gets {dummy:.2g}."
    both = _explain(explainer, lambda z: 2.0 * f(z) - 3.0 * g(z), x, background, seed=seed)
    gap = float((both.values - (2.0 * ef.values - 3.0 * eg.values)).abs().max())
    assert gap <= 1e-9, f"linearity: the values of 2f - 3g miss 2 f's - 3 g's by {gap:.2g} at the same seed."
    for data in (x, background):
        data[:, 1] = data[:, 0]

    def twins(z: Tensor) -> Tensor:
        pair = torch.stack([z[:, 0] + z[:, 1], z[:, 0] * z[:, 1], z[:, 2], z[:, 3]], dim=1)
        return one(pair)

    symmetric = _explain(explainer, twins, x, background, seed=seed, evaluations=MANY)
    off = (symmetric.values[:, 0] - symmetric.values[:, 1]).abs()
    allowed = SIGMAS * torch.hypot(symmetric.error[:, 0], symmetric.error[:, 1]) + 1e-6
    assert bool((off <= allowed).all()), f"symmetry: interchangeable players differ by {float(off.max()):.3g}."


def _check_repetition(explainer: Explainer, seed: int) -> None:
    x, background = _data(seed, "repetition", 5, 6, 5)
    function = network(stream(seed, "check_explainer/repetition/function"), 5, 1)
    first = _explain(explainer, function, x, background, seed=seed)
    again = _explain(explainer, function, x, background, seed=seed)
    assert torch.equal(first.values, again.values), "the same seed gives other values."
    assert torch.equal(first.error, again.error), "the same seed gives other errors."
    other = _explain(explainer, function, x, background, seed=seed + 1)
    if bool((first.error > 0).any()):
        assert not torch.equal(first.values, other.values), (
            "another seed gives the same values, though they have errors."
        )
    few = _explain(explainer, function, x[:2], background, seed=seed)
    gap = float((few.values - first.values[:2]).abs().max())
    assert gap <= 1e-9, f"a row's values depend on the rows explained with it: {gap:.2g}."
    none = _explain(explainer, function, x[:0], background, seed=seed)
    assert none.values.shape == (0, 5, 1), f"no rows give shape {tuple(none.values.shape)}."


def _check_equal_use(explainer: Explainer, seed: int) -> None:
    """The last player is a mark: its background value is the number of the background row."""
    x, background = _data(seed, "use", 2, 6, 5)
    x[:, -1], background[:, -1] = -1.0, np.arange(6)
    function = network(stream(seed, "check_explainer/use/function"), 5, 1)
    program = ToyProgram(function, 5)
    players = program.schema.players(program.tasks["toy"].inputs)
    game = Game(program, "toy", program.encode(toy_rows(x)), program.encode(toy_rows(background)), players)
    explainer(game, ["row0", "row1"], evaluations=500, seed=seed)
    marks = torch.cat(program.seen)[:, -1]
    uses = torch.bincount(marks[marks >= 0].long(), minlength=6)
    assert int(uses.min()) == int(uses.max()) > 0, f"background rows are used unequally: {uses.tolist()}."


def _check_errors(explainer: Explainer, seed: int) -> None:
    """Unbiased over seeds, and intervals that cover: 40 rows, 5 players, 2 outputs, 10 background rows, 40 seeds."""
    x, background = _data(seed, "errors", 40, 10, 5)
    function = network(stream(seed, "check_explainer/errors/function"), 5, 2)
    truth = brute_force(function, x, background)
    runs = [_explain(explainer, function, x, background, seed=seed + s) for s in range(40)]
    off = np.stack([run.values.numpy() for run in runs]) - truth
    error = np.stack([run.error.numpy() for run in runs])
    if not (error > 0).any():  # claims to be exact: `_check_reference` judged that
        return
    bias = off.mean(0) / np.maximum(off.std(0, ddof=1) / len(runs) ** 0.5, 1e-12)
    spread = float(np.sqrt(np.square(bias).mean()))
    assert spread <= 1.25, f"biased: means over {len(runs)} seeds are {spread:.2f} standard errors off (1 expected)."
    covered = float((np.abs(off) <= 1.96 * error).mean())
    assert COVERAGE[0] <= covered <= COVERAGE[1], f"95 % intervals cover {covered:.1%} of the true values."
    ratio = float(np.sqrt(np.square(error).mean() / np.square(off).mean()))
    assert 0.8 <= ratio <= 1.25, f"stated errors are {ratio:.2f} times the true ones."
