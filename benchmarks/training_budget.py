"""Training to the same accuracy: a tuned Adam that waits for plateaus, `tg.fit`, and budgets.

    python -m benchmarks.training_budget [--test FILE.npz] [--seeds N]

The DS-CNN on the spoken keywords, moved in time and with other noise in every epoch. Both
strategies are tuned, Adam on six settings and `tg.fit` on four, with three seeds that the table
does not use, by the accuracy on `Keywords.x_test`: of the settings that come within half a point of
the best Adam, the one of the fewest processor seconds. The clips that the table is judged by
(`--test`: x_test, y_test) choose nothing. Everything runs in one process with one thread, after a
fit that is not counted. Records are kept in benchmarks/.cache/training, and a run that was stopped
goes on.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.keyword_trials import (
    Clips,
    batches,
    difference_interval,
    judging_clips,
    print_table,
)
from tfgreen.demonstration.keyword_spotter import build_keyword_spotter
from tfgreen.demonstration.keywords import load_keywords

CACHE = Path(__file__).parent / ".cache" / "training"
TUNING_SEEDS = (10, 11, 12)
TOLERANCE = 0.005
"""What two settings may differ by chance, on 416 clips and three seeds at 99.4 % (1.6 standard
errors): a smaller one would take a dearer Adam for its luck.
"""
LOSS = "sparse_categorical_crossentropy"
METRIC = "val_accuracy"
MOST_EPOCHS = 100
RATES = (2e-3, 4e-3, 8e-3)
PATIENCES = ((2, 5), (3, 8))  # of ReduceLROnPlateau, of EarlyStopping
PEAKS = (4e-3, 8e-3)
EPOCHS = (12, 18)
BUDGET_SHARE = 0.65
LEAST_GAIN_PER_JOULE = 1e-4


@dataclass(frozen=True)
class Run:
    """One training: what it took, and how good it is on x_test of the package."""

    epochs: int
    cpu_seconds: float
    joules: tuple[float, float, float]
    method: str
    held_back: float
    stopped: str


Setting = dict[str, Any]
Train = Callable[[Any, int, Setting], tuple[int, str]]


def adam(model: Any, seed: int, setting: Setting, further: Sequence[Any] = ()) -> tuple[int, str]:
    """Adam, the rate halved on plateaus, stopped after some epochs without a better loss."""
    import keras

    keywords = load_keywords()
    callbacks = [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=setting["reduce"])]
    if "stop" in setting:
        patience = setting["stop"]
        callbacks.append(
            keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
        )
    model.compile(keras.optimizers.Adam(setting["rate"]), LOSS, metrics=["accuracy"])
    history = model.fit(
        batches(keywords, seed), validation_data=(keywords.x_test, keywords.y_test),
        epochs=MOST_EPOCHS, verbose=0, shuffle=False, callbacks=[*callbacks, *further],
    )  # fmt: skip
    return len(history.epoch), ""


def adam_until_gain_is_small(model: Any, seed: int, setting: Setting) -> tuple[int, str]:
    """The same Adam, ended by the learning curve."""
    import tfgreen as tg

    budget = tg.Budget(metric=METRIC, least_gain_per_joule=setting["gain"])
    watch = budget.callback()
    epochs, _ = adam(model, seed, setting, [watch])
    return epochs, watch.stopped or ""


def recommended(model: Any, seed: int, setting: Setting) -> tuple[int, str]:
    """AdamW over one cycle, evaluated in the last quarter only; or over a budget."""
    import tfgreen as tg

    keywords, epochs = load_keywords(), setting["epochs"]
    seconds = setting.get("cpu_seconds")
    late = list(range(epochs - epochs // 4, epochs + 1)) if seconds is None else 4
    result = tg.fit(
        model, batches(keywords, seed), validation_data=(keywords.x_test, keywords.y_test),
        epochs=epochs, learning_rate=setting["rate"], loss=LOSS, metrics=["accuracy"],
        metric=METRIC, budget=tg.Budget(cpu_seconds=seconds) if seconds else None,
        validation_freq=late, verbose=0,
    )  # fmt: skip
    return result.epochs, result.stopped


STRATEGIES: dict[str, Train] = {
    "adam": adam,
    "fit": recommended,
    "fit-budget": recommended,
    "adam-gain": adam_until_gain_is_small,
}


def run(strategy: str, seed: int, setting: Setting, clips: Clips) -> tuple[Run, np.ndarray]:
    """Train one model, or take the record of an earlier time; with (n,) bool, what is right."""
    parts = [f"{name}{value:g}" for name, value in setting.items()]
    path = CACHE / f"{'-'.join([strategy, str(seed), *parts])}-{len(clips.y)}.npz"
    if not path.exists():
        done, correct = trained(strategy, seed, setting, clips)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, run=json.dumps(asdict(done)), correct=correct)
        partial.replace(path)
        print(f"{path.stem}: {done}", file=sys.stderr, flush=True)
    with np.load(path, allow_pickle=False) as stored:
        return Run(**json.loads(str(stored["run"]))), stored["correct"]


def trained(strategy: str, seed: int, setting: Setting, clips: Clips) -> tuple[Run, np.ndarray]:
    """Train a model of this seed, measured from its compilation to its last epoch."""
    import keras

    import tfgreen as tg

    keras.backend.clear_session()
    gc.collect()
    keras.utils.set_random_seed(seed)
    model, keywords = build_keyword_spotter(), load_keywords()
    with tg.Meter() as meter:
        epochs, stopped = STRATEGIES[strategy](model, seed, setting)

    def right(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict(x, batch_size=256, verbose=0).argmax(-1) == y)

    joules = meter.reading.joules
    done = Run(
        epochs,
        meter.reading.cpu_seconds,
        (joules.low, joules.typical, joules.high),
        f"{meter.reading.method}, {meter.reading.source}",
        float(right(keywords.x_test, keywords.y_test).mean()),
        stopped,
    )
    return done, right(clips.x, clips.y)


@dataclass(frozen=True)
class Tried:
    """A setting, and what it came to: means over the tuning seeds."""

    setting: Setting
    held_back: float
    cpu_seconds: float


def tried(strategy: str, grid: Iterable[Setting], clips: Clips) -> list[Tried]:
    """All settings of a grid."""
    found = []
    for setting in grid:
        runs = [run(strategy, seed, setting, clips)[0] for seed in TUNING_SEEDS]
        held_back = float(np.mean([one.held_back for one in runs]))
        found.append(Tried(setting, held_back, float(np.mean([one.cpu_seconds for one in runs]))))
    print_table(
        [f"tuning of {strategy}", "held back %", "processor s"],
        [(str(o.setting), f"{100 * o.held_back:.2f}", f"{o.cpu_seconds:.1f}") for o in found],
    )
    return found


def chosen(settings: Sequence[Tried], bar: float) -> Setting:
    """The cheapest setting that comes up to the bar; the best one where none does."""
    enough = [one for one in settings if one.held_back >= bar]
    best = max(settings, key=lambda one: one.held_back)
    found = min(enough, key=lambda one: one.cpu_seconds) if enough else best
    print(f"\nChosen: {found.setting} (bar {100 * bar:.2f} %)\n", flush=True)
    return found.setting


def warm_up() -> None:
    """A fit that is not counted: the first one of a process starts TensorFlow."""
    keywords, model = load_keywords(), build_keyword_spotter()
    model.compile("adam", LOSS)
    model.fit(keywords.x_train[:64], keywords.y_train[:64], verbose=0)


def main(arguments: Sequence[str]) -> None:
    """Tune both, run the table."""
    parser = ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--test", help=".npz with x_test and y_test to judge by")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    clips = judging_clips(options.test)
    warm_up()
    adam_grid = [
        {"rate": rate, "reduce": reduce, "stop": stop}
        for rate, (reduce, stop) in product(RATES, PATIENCES)
    ]
    adams = tried("adam", adam_grid, clips)
    bar = max(one.held_back for one in adams) - TOLERANCE
    plain = chosen(adams, bar)
    fit_grid = [{"rate": rate, "epochs": epochs} for rate, epochs in product(PEAKS, EPOCHS)]
    ours = chosen(tried("fit", fit_grid, clips), bar)
    seeds = range(options.seeds)
    base = [run("adam", seed, plain, clips) for seed in seeds]
    seconds = round(BUDGET_SHARE * float(np.mean([one.cpu_seconds for one, _ in base])), 1)
    within = {"rate": ours["rate"], "epochs": MOST_EPOCHS, "cpu_seconds": seconds}
    gain = {"rate": plain["rate"], "reduce": plain["reduce"], "gain": LEAST_GAIN_PER_JOULE}
    rows = (
        ("tuned Adam, plateaus, patience", "adam", plain),
        (f"tg.fit, budget of {seconds} processor s", "fit-budget", within),
        ("tg.fit", "fit", ours),
        ("tuned Adam, plateaus, least gain per joule", "adam-gain", gain),
    )
    reasons: list[str] = []

    def lines() -> Iterator[list[str]]:
        for name, strategy, setting in rows:
            runs = [run(strategy, seed, setting, clips) for seed in seeds]
            pairs = zip(seeds, runs, strict=True)
            reasons.extend(
                f"- {name}, seed {seed}: {one.stopped}" for seed, (one, _) in pairs if one.stopped
            )
            yield cells(name, runs, base)

    print_table(
        ["strategy", "epochs", "processor s", "times Adam's", "J (method)", "accuracy %",
         "against Adam, points"],
        lines(),
    )  # fmt: skip
    print("\n".join(["", *reasons]))


def cells(
    name: str, runs: list[tuple[Run, np.ndarray]], base: list[tuple[Run, np.ndarray]]
) -> list[str]:
    """A row of the table: means over the seeds, the difference with its paired interval."""
    seconds = np.array([one.cpu_seconds for one, _ in runs])
    ratios = seconds / np.array([one.cpu_seconds for one, _ in base])
    low, typical, high = np.mean([one.joules for one, _ in runs], axis=0)
    mean, least, most = difference_interval([c for _, c in runs], [c for _, c in base])
    epochs = ", ".join(str(one.epochs) for one, _ in runs)
    return [
        name,
        epochs,
        f"{seconds.mean():.1f}",
        f"{seconds.mean() / np.mean([one.cpu_seconds for one, _ in base]):.2f} "
        f"({ratios.min():.2f}-{ratios.max():.2f})",
        f"{typical:.0f} ({low:.0f} to {high:.0f}) ({runs[0][0].method})",
        f"{100 * np.mean([c.mean() for _, c in runs]):.2f}",
        f"{mean:+.2f} [{least:+.2f}, {most:+.2f}]",
    ]


if __name__ == "__main__":
    os.environ.update(
        TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1",
        OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="",
    )  # fmt: skip
    main(sys.argv[1:])
