"""Robustness of the keyword DS-CNN: accuracy under corruption and attack, float and compressed.

    python -m benchmarks.robustness_table [--test FILE.npz] [--clips N] [--seeds N]

The files are those of benchmarks/compression_table.py, of the same three float models. Every file
runs on XNNPACK on the same clips (1,000 of x_test, y_test of `--test`, evenly spaced; without it
the package's 416 held-back ones), as they are and at severities 1 to 5 of four corruptions, and
under PGD that follows the float model's gradient. Prints Markdown tables: accuracy as the mean of
the corruptions, what is lost beyond the loss on clean clips, and accuracy under PGD. Intervals
(95 %) are by bootstrap over seeds and clips, paired where two models are compared. The answers are
kept in benchmarks/.cache/trials; delete robustness-*.npz there to run them anew.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.compression_table import VARIANTS, Variant, file_of, trials_of
from benchmarks.keyword_trials import (
    CACHE,
    Clips,
    difference_interval,
    float_model_path,
    judging_clips,
    load_float_model,
    print_table,
)

FILES = {
    "float": "float32",
    "ptq": "int8 after training",
    "qat": "int8 in training (QAT)",
    "pqat-80": "80 % pruned, QAT (PQAT)",
    "int4": "int4 weights after training",
    "qat-int4": "int4 weights in training",
}
INT4 = Variant(FILES["int4"], profile="mobile-weights-int4")
KERNEL_SET = "xnnpack"
SEVERITIES = (1, 2, 3, 4, 5)

Scores = Mapping[str, np.ndarray]
"""By "clean", or corruption and severity as "noise-3": (clips,) 1 where the label was right."""


def content_of(name: str, seed: int, test: str | None) -> bytes:
    """The file of a variant and a seed; trained and exported if it is missing."""
    path = CACHE / f"{name}-{seed}.tflite"
    if name == "int4" and not path.exists():
        path.write_bytes(file_of(INT4, load_float_model(seed))[0])
    elif not path.exists():
        trials_of(name, [seed], test)
    return path.read_bytes()


def scores_of(seed: int, clips: Clips, test: str | None) -> dict[str, Scores]:
    """All files of a seed under all conditions."""
    from tfgreen.data import Samples
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.runtimes import Task, quantize_inputs, run_tasks
    from tfgreen.verification.robustness import Attacker, Plan
    from tfgreen.verification.robustness.conditions import Conditions

    files = {name: content_of(name, seed, test) for name in FILES}
    model = TfliteModel.from_bytes(files["float"])
    samples = Samples({model.input_names[0]: clips.x}, {"y": clips.y}, "clips")
    conditions = Conditions(samples, Plan(kind="audio", attacks=("pgd",), seed=seed))
    attacker = Attacker(float_model_path(seed))
    conditions.add_attacks(attacker, clips.y, model.output_names[0], 0)
    variants = {"clean": samples}
    variants |= {f"{one.name}-{one.severity}": one.samples for one in conditions}
    found: dict[str, Scores] = {}
    for name, content in files.items():
        file = TfliteModel.from_bytes(content)
        tasks = [Task(key, content, quantize_inputs(file, one)) for key, one in variants.items()]
        outcomes = run_tasks(KERNEL_SET, tasks, timeout_seconds=3600)
        answers = [outcome.outputs[0].reshape(len(clips.y), -1) for outcome in outcomes]
        right = [(one.argmax(-1) == clips.y).astype(np.float64) for one in answers]
        found[name] = dict(zip(variants, right, strict=True))
    return found


def kept_scores(seed: int, clips: Clips, test: str | None) -> dict[str, Scores]:
    """The scores of an earlier run, or new ones."""
    where = Path(test).stem if test else "own"
    path = CACHE / f"robustness-{where}-{len(clips.y)}-{seed}.npz"
    if not path.exists():
        new = scores_of(seed, clips, test)
        flat = {f"{name}/{key}": one for name, row in new.items() for key, one in row.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **flat)  # type: ignore[arg-type]
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in FILES}
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            name, condition = key.split("/")
            found[name][condition] = stored[key]
    return {name: dict(row) for name, row in found.items()}


def at(scores: Scores, severity: int, only: str | None = None) -> np.ndarray:
    """(clips,) scores of one condition, or the mean over the corruptions; 0 is clean."""
    if severity == 0:
        return scores["clean"]
    names = {key.rsplit("-", 1)[0] for key in scores if key != "clean"}
    chosen = [only] if only else sorted(names - {"pgd"})
    return np.asarray(np.mean([scores[f"{name}-{severity}"] for name in chosen], axis=0))


def interval(of: Callable[[Scores], np.ndarray], ours: list[Scores]) -> str:
    """Mean over seeds and clips in percent, with its interval."""
    values = [of(scores) for scores in ours]
    mean, low, high = difference_interval(values, [np.zeros_like(one) for one in values])
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def beyond(severity: int, ours: list[Scores], floats: list[Scores]) -> str:
    """Points lost under corruption beyond those lost on clean clips."""
    worse = [at(one, severity) - at(one, 0) for one in ours]
    of_float = [at(one, severity) - at(one, 0) for one in floats]
    mean, low, high = difference_interval(worse, of_float)
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def print_tables(rows: Mapping[str, list[Scores]]) -> None:
    """The three tables."""
    floats = rows["float"]
    severities = [f"severity {one}" for one in SEVERITIES]

    def table(title: str, cells: Callable[[list[Scores]], list[str]], without: str = "") -> None:
        lines = [(FILES[name], *cells(one)) for name, one in rows.items() if name != without]
        heads = ["clean", *severities] if len(lines[0]) > 6 else severities
        print_table((title, *heads), lines)
        print()

    every = (0, *SEVERITIES)
    table("accuracy, %", lambda r: [interval(lambda s, v=v: at(s, v), r) for v in every])  # type: ignore[misc]
    table("beyond clean, points", lambda r: [beyond(v, r, floats) for v in SEVERITIES], "float")
    table("PGD, %", lambda r: [interval(lambda s, v=v: at(s, v, "pgd"), r) for v in SEVERITIES])  # type: ignore[misc]


def main() -> None:
    """Measure what is missing and print the tables."""
    parser = ArgumentParser(description="Robustness of compressed keyword nets.")
    parser.add_argument("--test", help=".npz with x_test and y_test to judge by")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--clips", type=int, default=1000, help="how many clips (default 1000)")
    given = parser.parse_args()
    clips = judging_clips(given.test)
    rows = np.round(np.linspace(0, len(clips.y) - 1, min(len(clips.y), given.clips))).astype(int)
    clips = Clips(clips.x[rows], clips.y[rows])
    seeds = [kept_scores(seed, clips, given.test) for seed in range(given.seeds)]
    print_tables({name: [one[name] for one in seeds] for name in FILES})


if __name__ == "__main__":
    if not FILES.keys() <= VARIANTS.keys() | {"int4"}:
        raise SystemExit("A file of this table is no variant of benchmarks.compression_table.")
    main()
