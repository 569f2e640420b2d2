"""`attribute_text`: what the words of a text add to what a program says of it.

The other inputs keep the row's values. The reference is the same text with every word masked, so values add up to the
outputs minus those of the masked text. How words are masked is part of the question, not of the estimate: other masks
give other values.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from pellucid.core.errors import DataError, SchemaError, nearest, require
from pellucid.core.program import Program, Readable
from pellucid.core.rows import Rows
from pellucid.explain import doubts
from pellucid.explain.attribution import ALL
from pellucid.explain.checks import checked
from pellucid.explain.estimate import Estimate, Progress
from pellucid.explain.exact import MOST_PLAYERS
from pellucid.explain.explanation import Explanation
from pellucid.explain.game import Game, declared_task
from pellucid.explain.gaussian import MOST
from pellucid.explain.worded import Worded
from pellucid.explain.words import GRAINS, MASKS, Cut, Grain, Mask, Span, asked_for, pieces_of, tree_of

METHODS = {name: ALL[name] for name in ("exact", "gaussian", "owen", "permutation", "regression")}
WHERE = "explain.attribute_text(...)"
PER_PLAYER = 4  # coalitions with which `gaussian` is better than the Owen values of a hierarchy
LAST = 1 << 16  # texts that an error or a time may ask for
TWICE = 2.5  # times what was spent so far, when twice as many texts have been asked, too


@dataclass(frozen=True, eq=False)
class TextExplanation:
    """What the pieces of one text add.

    Args:
        text: the text. spans: where its players stand, characters (start, stop), in order.
        field: of the schema. grain: `word`, `phrase` or `sentence`.
        mask: how what is left out is masked, in words.
        read: characters that the program reads; the rest has no players.
        values: the explanation itself: one row, a player per span. `base` is what is said of the masked text.
    """

    text: str
    spans: tuple[Span, ...]
    field: str
    grain: str
    mask: str
    read: int
    values: Explanation

    def marked(self, *, output: str | int = 0, k: int = 8) -> str:
        """For a terminal: the text with marks, then the k largest values and how they were found."""
        from pellucid.explain.highlight import marked

        at = self.values.output(output)
        head = marked(self, at) if self.text.strip() else "(no text)"
        lines = self.values.text(output=at, k=k) if self.spans else "  no players"
        return f"{head}\n{lines}\n  {self.mask}"

    def plot(self, *, output: str | int = 0) -> Any:
        """The text highlighted, as a matplotlib figure.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from pellucid.explain.highlight import drawn

        require("matplotlib", extra="xai", purpose="TextExplanation.plot()")
        return drawn(self, self.values.output(output))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` is its inverse."""
        plain = {name: getattr(self, name) for name in ("text", "field", "grain", "mask", "read")}
        return {**plain, "spans": [list(span) for span in self.spans], "values": self.values.to_json()}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> TextExplanation:
        spans = tuple(Span(int(a), int(b)) for a, b in raw["spans"])
        return cls(**{**raw, "spans": spans, "values": Explanation.from_json(raw["values"])})


def attribute_text(
    program: Program,
    rows: Rows,
    task: str,
    *,
    field: str | None = None,
    grain: Grain = "word",
    mask: Mask = "auto",
    replacement: str = "…",
    method: str = "auto",
    evaluations: int = 512,
    seconds: float | None = None,
    error: float | None = None,
    checks: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[TextExplanation]:
    """Shapley (or Owen) values of the words of each row's text, all outputs at once.

    Args:
        program: anything that satisfies `core.program.Program`. rows: n of them. task: one of its tasks.
        field: the text field; may be left out when the task reads one.
        grain: players are words, phrases (at most five words between two signs), or sentences.
        mask: `token`: the tokenizer's mask token (else what it takes for an unknown word) stands for a word that is
            left out; `drop`: it was never written; `replace`: `replacement` stands for it; `auto`: `token` for a
            program with a mask token, else `drop`.
        method: `exact` (at most 12 players), `gaussian`, `permutation`, `regression`: Shapley values; `owen`: of a
            hierarchy of sentences, phrases and halves of them. `auto`: exact where `evaluations` allows, else
            gaussian (of very long texts owen).
        evaluations: texts that the program is asked about, per row.
        seconds: about how long it may take in all, instead. error: the standard error wanted, in the outputs' unit,
            instead. Either way twice as many texts are asked until it is met; the method says how many.
        checks: also compute `explain.checks`.
        seed: of the random numbers. progress: told (rows done, rows in all).
    Returns:
        one `TextExplanation` per row.
    Raises:
        SchemaError: no such task or text field.
        DataError: no such grain, mask or method; no budget; the program has no mask token; it returns NaN or raises.
    """
    name = text_field(program, task, field)
    for what, value, known in (("grain", grain, GRAINS), ("mask", mask, MASKS), ("method", method, ["auto", *METHODS])):
        asked_for(what, value, known)
    mask, stand_in = masking(program, name, mask, replacement)
    budget = Budget.of(evaluations, seconds, error, len(rows))
    found = []
    for row in range(len(rows)):
        one = Asked(program, rows.take(slice(row, row + 1)), task, name, grain, mask, stand_in)
        found.append(_explained(one, method, budget, checks, seed))
        if progress is not None:
            progress(row + 1, len(rows))
    return found


def text_field(program: Program, task: str, field: str | None) -> str:
    """The text field that is meant.

    Raises:
        SchemaError: none, several, or not that one.
    """
    inputs = declared_task(program, task, where=WHERE).inputs
    texts = [name for name in inputs if program.schema[name].kind == "text"]
    if field in texts or (field is None and len(texts) == 1):
        return field or texts[0]
    said = f"task '{task}' reads {'the texts ' + ', '.join(texts) if texts else 'no text'}"
    raise SchemaError(
        f"{said}; field={field!r} is none of them." if field else f"{said}: which is meant?" if texts else f"{said}.",
        where=WHERE,
        mend=(nearest(field or "", texts) or f"field='{texts[0]}'") if texts else "use explain.attribute(...)",
    )


def masking(program: Program, field: str, mask: Mask, replacement: str) -> tuple[Mask, str]:
    """The mask that `auto` stands for, and what stands for a word.

    Raises:
        DataError: `token` of a program that has none.
    """
    if mask == "replace":
        return mask, replacement
    if mask == "drop" or not isinstance(program, Readable):
        if mask == "token":
            raise DataError("the program has no mask token.", where=WHERE, mend="mask='drop' or mask='replace'")
        return "drop", ""
    token, known = program.stand_in(field)
    if mask == "token" and token is None:
        raise DataError("its tokenizer knows no unknown words.", where=WHERE, mend="mask='drop' or mask='replace'")
    return ("token", token) if token is not None and (known or mask == "token") else ("drop", "")


class Asked:
    """One row's text in pieces, and the program as a function of them."""

    def __init__(
        self, program: Program, row: Rows, task: str, field: str, grain: Grain, mask: Mask, stand_in: str
    ) -> None:
        self.program, self.row, self.task, self.field, self.grain = program, row, task, field, grain
        raw = row.column(field).reshape(-1)[0]
        self.text = "" if raw is None or raw != raw else str(raw)
        self.read = program.read(field, self.text) if isinstance(program, Readable) else len(self.text)
        every = pieces_of(self.text, grain)
        self.spans = [span for span in every if span.start < self.read]
        cut = Cut(self.text[: self.spans[-1].stop] if len(self.spans) < len(every) else self.text, self.spans, mask,
                  stand_in)  # fmt: skip
        self.worded = Worded(program, row, task, field, cut, tree_of(self.text, self.spans))
        self.mask = {
            "token": f"{stand_in if stand_in.isprintable() else 'an unknown word'} stands for a {grain} left out",
            "drop": f"a {grain} left out was never written",
            "replace": f"'{stand_in}' stands for a {grain} left out",
        }[mask]

    @property
    def names(self) -> list[str]:
        """Players: the pieces as they are written; of equal ones the second is `good (2)`."""
        seen: dict[str, int] = {}
        found = []
        for a, b in self.spans:
            piece = " ".join(self.text[a:b].split())
            seen[piece] = seen.get(piece, 0) + 1
            found.append(piece if seen[piece] == 1 else f"{piece} ({seen[piece]})")
        return found

    def noise(self, before: torch.Tensor) -> torch.Tensor:
        """Standard deviation of the program's own randomness, shape (k,), from asking about the text again.

        Args:
            before: what it said the first time, shape (k,).
        """
        again = self.program(self.program.encode(self.row), self.task)[0].double()
        apart = (again - before).abs()
        same = bool((apart <= doubts.ROUNDING * before.abs().clamp(min=1e-12)).all())
        return torch.zeros_like(before) if same else apart / 2**0.5


def chosen(method: str, d: int, evaluations: int) -> str:
    """What `auto` stands for."""
    if method != "auto":
        return method
    if d <= MOST_PLAYERS and 2**d - 2 <= evaluations:
        return "exact"
    return "gaussian" if PER_PLAYER * d <= min(evaluations, MOST) else "owen"


class Budget(NamedTuple):
    """One of the three. Args: seconds: of one text. error: the largest standard error."""

    evaluations: int
    seconds: float | None = None
    error: float | None = None

    @classmethod
    def of(cls, evaluations: int, seconds: float | None, error: float | None, rows: int) -> Budget:
        """Raises: DataError: two of them, or one that is no budget."""
        if seconds is not None and error is not None:
            raise DataError("seconds and error are both given.", where=WHERE, mend="give one of the two")
        for name, value in (("seconds", seconds), ("error", error)):
            if value is not None and not value > 0.0:
                raise DataError(f"{name}={value:g} is no budget.", where=WHERE, mend="give more than zero")
        return cls(evaluations, None if seconds is None else seconds / max(1, rows), error)


def _estimated(game: Game, key: str, method: str, budget: Budget, seed: int) -> tuple[str, Estimate]:
    """The method and the values, by growing numbers of texts where the budget is a time or an error."""
    begin = time.perf_counter()
    growing = budget.seconds is not None or budget.error is not None
    texts = PER_PLAYER * game.d if growing else budget.evaluations
    while True:
        name = chosen(method, game.d, texts)
        found = METHODS[name](game, [key], evaluations=texts, seed=seed)
        worst, spent = float(found.error.max()), time.perf_counter() - begin
        if not growing or worst == 0.0 or 2 * texts > (MOST if name == "gaussian" else LAST):
            return name, found
        if worst <= budget.error if budget.error is not None else spent * TWICE > (budget.seconds or 0.0):
            return name, found
        texts *= 2


def _explained(asked: Asked, method: str, budget: Budget, checks: bool, seed: int) -> TextExplanation:
    declared = asked.program.tasks[asked.task]
    names = asked.names
    if not names:
        return _wrapped(asked, _empty(asked, seed))
    game = asked.worded.game(names)
    keys = [str(asked.row.keys[0])]
    method, estimate = _estimated(game, keys[0], method, budget, seed)
    warnings = _warnings(asked)
    own = asked.noise(estimate.prediction[0])
    if bool((own > 0).any()):
        estimate = estimate._replace(error=doubts.widened(estimate.error, own, game))
        warnings.append("the program is stochastic: asked twice, it answers differently; errors are widened by that")
    if budget.error is not None and float(estimate.error.max()) > budget.error:
        told = f"{float(estimate.error.max()):.2g}, above the {budget.error:g} asked for"
        warnings.append(f"the largest standard error is {told}")
    measured = checked(game, estimate, seed) if checks else {}
    measured.pop("off_manifold", None)  # there is one background row, and it is no text that anybody wrote
    found = Explanation(
        values=estimate.values.numpy(),
        error=estimate.error.numpy(),
        base=estimate.base.numpy(),
        prediction=estimate.prediction.numpy(),
        players=tuple(names),
        outputs=declared.outputs,
        keys=tuple(keys),
        inputs=np.array([[asked.text[a:b] for a, b in asked.spans]], dtype=object),
        task=asked.task,
        unit=declared.unit,
        method=f"{method}: {estimate.note.replace('1 background rows', 'the masked text')}",
        background_n=1,
        evaluations=asked.worded.asked + 1,
        seed=seed,
        warnings=tuple(warnings),
        checks=measured,
    )
    return _wrapped(asked, found)


def _warnings(asked: Asked) -> list[str]:
    found = []
    if asked.spans[-1].stop < len(asked.text.rstrip()):
        found.append(f"the program reads {asked.read:,} of {len(asked.text):,} characters; the rest has no players")
    return found


def _wrapped(asked: Asked, found: Explanation) -> TextExplanation:
    return TextExplanation(asked.text, tuple(asked.spans), asked.field, asked.grain, asked.mask, asked.read, found)


def _empty(asked: Asked, seed: int) -> Explanation:
    """Of a text without a word: nothing adds anything."""
    declared = asked.program.tasks[asked.task]
    out = asked.program(asked.program.encode(asked.row), asked.task).double().numpy()
    nothing = np.empty((1, 0, out.shape[1]))
    return Explanation(
        values=nothing,
        error=nothing,
        base=out[0],
        prediction=out,
        players=(),
        outputs=declared.outputs,
        keys=(str(asked.row.keys[0]),),
        inputs=np.empty((1, 0), dtype=object),
        task=asked.task,
        unit=declared.unit,
        method="exact: a text without words",
        background_n=1,
        evaluations=1,
        seed=seed,
        warnings=("the text is empty: it has no players",),
    )
