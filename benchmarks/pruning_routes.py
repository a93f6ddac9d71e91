"""Four ways to prune the keyword DS-CNN to 50, 80 and 90 %, and what each costs in accuracy.

    python -m benchmarks.pruning_routes [--test FILE.npz] [--seeds N] [ROUTE ...]

Routes: in one shot; in one shot and then trained; in training with the polynomial schedule; in
rounds that each remove the same share of what is left. The last three get the same number of
epochs. All begin at the same trained float model of their seed, leave depthwise kernels alone,
bring every other kernel to the same sparsity, and are exported to int8 with all gates. Accuracy is
that of the exported file on XNNPACK, on the clips of `--test` (x_test, y_test; without it the
package's 416 held-back clips). Prints a Markdown table: mean and spread over the seeds, and
differences with their 95 % intervals by paired bootstrap over seeds and clips. Finished trials are
kept in benchmarks/.cache/trials, and a run that was stopped goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.compression_table import fine_tuned, zeros
from benchmarks.keyword_trials import (
    BATCH_SIZE,
    CACHE,
    Trial,
    batches,
    difference_interval,
    exported,
    gates_failed,
    judging_clips,
    load_float_model,
    print_table,
    run_child,
    trial_of,
    trials_parser,
)
from tfgreen.demonstration.keywords import load_keywords

SPARSITIES = (0.5, 0.8, 0.9)
EPOCHS, ROUNDS = 10, 5
KERNEL_SET = "xnnpack"
PROFILE = "mobile-int8"
UNPRUNED = "unpruned"
_PEAK_LEARNING_RATE = 2e-3
_KINDS = ("Conv2D", "Dense")
HEADER = (
    "route",
    "sparsity %",
    "accuracy %",
    "spread",
    "against unpruned int8, points",
    "against one shot and training, points",
    "gzip",
    "zeros %",
    "epochs",
    "s",
)
Compress = Callable[[Any, float, int], Any]


def unpruned(model: Any, sparsity: float, seed: int) -> Any:
    """The float model as it is."""
    return model


def in_one_shot(model: Any, sparsity: float, seed: int) -> Any:
    """The smallest weights of each kernel become zero; nothing is trained."""
    import tfgreen as tg

    shares = dict.fromkeys(_KINDS, sparsity)
    return tg.prune(model, threshold=shares, threshold_unit="quantile")


def in_one_shot_and_trained(model: Any, sparsity: float, seed: int) -> Any:
    """The same zeros, held while the rest is trained on."""
    import tfgreen as tg

    shares = dict.fromkeys(_KINDS, sparsity)
    technique = tg.Pruning(threshold=shares, threshold_unit="quantile")
    return fine_tuned(technique, model, EPOCHS, _PEAK_LEARNING_RATE, seed)


def in_training(model: Any, sparsity: float, seed: int) -> Any:
    """The polynomial schedule over the first half of training."""
    import tfgreen as tg

    technique = tg.Pruning(sparsity=sparsity, end=0.5)
    return fine_tuned(technique, model, EPOCHS, _PEAK_LEARNING_RATE, seed)


def in_rounds(model: Any, sparsity: float, seed: int) -> Any:
    """Rounds of rising sparsity; the learning rate begins anew in each."""
    import keras

    import tfgreen as tg

    keywords = load_keywords()
    data = batches(keywords, seed)
    steps = EPOCHS // ROUNDS * -(-len(keywords.x_train) // BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecayRestarts(_PEAK_LEARNING_RATE, steps, t_mul=1.0)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    result = tg.prune_iteratively(
        model,
        data,
        validation_data=(keywords.x_test, keywords.y_test),
        max_drop=1.0,
        sparsities=rounds_to(sparsity),
        epochs=EPOCHS // ROUNDS,
        verbose=0,
    )
    return result.model


def rounds_to(sparsity: float) -> tuple[float, ...]:
    """Sparsities of which each removes the same share of the weights that are left.

    >>> [round(share, 3) for share in rounds_to(0.8)]
    [0.275, 0.475, 0.619, 0.724, 0.8]
    """
    return (*(1 - (1 - sparsity) ** (i / ROUNDS) for i in range(1, ROUNDS)), sparsity)


ROUTES: dict[str, tuple[str, Compress, int]] = {
    "one-shot": ("in one shot", in_one_shot, 0),
    "one-shot-trained": ("in one shot, then trained", in_one_shot_and_trained, EPOCHS),
    "in-training": ("in training", in_training, EPOCHS),
    "in-rounds": (f"in {ROUNDS} rounds", in_rounds, EPOCHS),
}


def run_trial(name: str, sparsity: float, seed: int, test: str | None) -> None:
    """Prune, export and judge one route with one seed, and keep the record."""
    compress = unpruned if name == UNPRUNED else ROUTES[name][1]
    model = load_float_model(seed)
    began = time.perf_counter()
    pruned = compress(model, sparsity, seed)
    seconds = time.perf_counter() - began
    bundle = exported(pruned, load_keywords(), PROFILE, encoding="dense")
    trial = trial_of(
        bundle.content,
        judging_clips(test),
        (KERNEL_SET,),
        seconds,
        zeros=zeros(bundle.content),
        verdict=bundle.certificate.verdict,
    )
    trial.save(record(name, sparsity, seed))
    accuracy = float(trial.correct[KERNEL_SET].mean())
    print(f"{name} {sparsity:g}, seed {seed}: {accuracy:.4f}, {seconds:.0f} s", flush=True)


def record(name: str, sparsity: float, seed: int) -> Any:
    """Where a trial is kept."""
    return CACHE / f"route-{name}-{round(100 * sparsity)}-{seed}.npz"


def trials_of(name: str, sparsity: float, seeds: Sequence[int], test: str | None) -> list[Trial]:
    """The records of a route; what is missing is run in child processes."""
    found = []
    for seed in seeds:
        path = record(name, sparsity, seed)
        if not path.exists():
            where = ["--test", test] if test else []
            trial = ["--trial", str(sparsity), str(seed), *where]
            run_child("benchmarks.pruning_routes", name, *trial)
        found.append(Trial.read(path))
    return found


def correct(trials: Sequence[Trial]) -> list[np.ndarray]:
    """One (n,) bool array a seed."""
    return [trial.correct[KERNEL_SET] for trial in trials]


def difference(trials: Sequence[Trial], others: Sequence[Trial]) -> str:
    """Points of accuracy with their interval."""
    mean, low, high = difference_interval(correct(trials), correct(others))
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def row(
    cells: tuple[str, str],
    trials: Sequence[Trial],
    plain: Sequence[Trial],
    trained: Sequence[Trial] | None,
    epochs: int,
) -> tuple[str, ...]:
    """One line of the table; `cells` are its first two."""
    accuracy = [100 * float(one.mean()) for one in correct(trials)]
    return (
        f"{cells[0]}{gates_failed(trials)}",
        cells[1],
        f"{np.mean(accuracy):.2f}",
        f"{np.std(accuracy, ddof=min(1, len(trials) - 1)):.2f}",
        "-" if trials is plain else difference(trials, plain),
        "-" if trained is None or trials is trained else difference(trials, trained),
        f"{np.mean([trial.gzip_bytes for trial in trials]):,.0f}",
        f"{100 * np.mean([trial.facts['zeros'] for trial in trials]):.0f}",
        str(epochs),
        f"{np.mean([trial.train_seconds for trial in trials]):.0f}",
    )


def rows(names: Sequence[str], seeds: Sequence[int], test: str | None) -> list[tuple[str, ...]]:
    """Every line; trials that are missing are run."""
    plain = trials_of(UNPRUNED, 0.0, seeds, test)
    lines = [row(("unpruned", "0"), plain, plain, None, 0)]
    for sparsity in SPARSITIES:
        trained = trials_of("one-shot-trained", sparsity, seeds, test)
        for name in names:
            title, _, epochs = ROUTES[name]
            is_it = name == "one-shot-trained"
            trials = trained if is_it else trials_of(name, sparsity, seeds, test)
            cells = (title, f"{100 * sparsity:.0f}")
            lines.append(row(cells, trials, plain, trained, epochs))
    return lines


def main() -> None:
    """Run what is missing and print the table, or run one trial."""
    parser = trials_parser("Accuracy of keyword nets by pruning route.", "route", ROUTES)
    parser.add_argument("--trial", nargs=2, metavar=("SPARSITY", "SEED"), help="run one trial here")
    given = parser.parse_args()
    if given.trial is not None:
        sparsity, seed = given.trial
        for name in given.variants:
            run_trial(name, float(sparsity), int(seed), given.test)
        return
    print_table(HEADER, rows(given.variants or list(ROUTES), range(given.seeds), given.test))


if __name__ == "__main__":
    main()
