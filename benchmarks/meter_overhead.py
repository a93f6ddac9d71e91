"""What the meter and the ledger cost a fit, in one interleaved run.

    python -m benchmarks.meter_overhead [--rounds N] [--steps N]

The same DS-CNN, data and compiled step, one thread; in a round three fits of one epoch take turns
in an order that is drawn anew: without a callback, with `MeterCallback`, and with a ledger on disk,
which is written at the start and at the end. Ratios are taken round by round against the fit
without; told are their median and its 95 % interval. Processor time is that of the process, which
others on the machine disturb less than wall time; many short rounds make its interval narrow
even on a busy one. What the hooks take is the same for a short fit and for a long one, so that a
short fit shows the most of it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.keyword_trials import ONE_THREAD, print_table
from benchmarks.models import NETWORKS, cached_model
from tfgreen.benchmarking.timings import ratio_of
from tfgreen.footprint.callback import MeterCallback
from tfgreen.footprint.ledger import Ledger

NETWORK = "ds-cnn"
PLAIN, TARGET_RATIO = "without", 1.01
BATCH_SIZE = 32
CPU, WALL = 0, 1
Seconds = dict[str, list[tuple[float, float]]]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args(arguments)
    os.environ.update(ONE_THREAD)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.json")
        callbacks = {
            PLAIN: list[Any],
            "meter": lambda: [MeterCallback()],
            "ledger on disk": lambda: [ledger.callback()],
        }
        seconds = take_turns(callbacks, options.rounds, options.steps)
        tell(options, callbacks, seconds)


def tell(options: argparse.Namespace, callbacks: dict[str, Any], seconds: Seconds) -> None:
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    cpu, wall = (statistics.median(one[clock] for one in seconds[PLAIN]) for clock in (CPU, WALL))
    print(
        f"A fit of {NETWORKS[NETWORK].title}, {options.rounds} rounds of {options.steps} steps, "
        f"without: {cpu:.2f} s of processor time in {wall:.2f} s, {load}\n"
    )
    lines = []
    for name, make in callbacks.items():
        if name != PLAIN:
            alone = hooks_alone(make()[0])
            hooks = [f"{1000 * alone[clock]:.2f} ms" for clock in (CPU, WALL)]
            lines.append((name, *(_ratio(seconds, name, clock) for clock in (CPU, WALL)), *hooks))
    print_table(
        ("callback", "processor time", "wall time", "hooks alone, processor", "hooks alone, wall"),
        lines,
    )
    print(f"\nTarget: at most {TARGET_RATIO:.2f}.")


def take_turns(callbacks: dict[str, Any], rounds: int, steps: int) -> Seconds:
    """Processor and wall seconds of each fit, by variant, round by round; the first is dropped."""
    import keras

    model = keras.models.load_model(cached_model(NETWORK).path, compile=False)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    task = NETWORKS[NETWORK].task()
    count = steps * BATCH_SIZE
    x = next(iter(task.inputs.values()))[:count]
    y = next(iter(task.labels.values()))[:count]
    draw, names = random.Random(0), list(callbacks)
    seconds: Seconds = {name: [] for name in names}
    for number in range(rounds + 1):
        draw.shuffle(names)
        for name in names:
            given = callbacks[name]()
            wall, cpu = time.perf_counter(), time.process_time()
            model.fit(x, y, batch_size=BATCH_SIZE, verbose=0, shuffle=False, callbacks=given)
            taken = (time.process_time() - cpu, time.perf_counter() - wall)
            if number:
                seconds[name].append(taken)
    return seconds


def hooks_alone(callback: Any, repeats: int = 51) -> tuple[float, float]:
    """Median processor and wall seconds of what a fit of one epoch asks of a callback."""
    taken = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        callback.on_train_begin()
        callback.on_epoch_end(0)
        callback.on_train_end()
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return statistics.median(one[CPU] for one in taken), statistics.median(
        one[WALL] for one in taken
    )


def _ratio(seconds: Seconds, name: str, clock: int) -> str:
    mine, theirs = ([one[clock] for one in seconds[who]] for who in (name, PLAIN))
    ratio = ratio_of([mine], [theirs])
    return f"{ratio.median:.4f} [{ratio.low:.4f}, {ratio.high:.4f}]"


if __name__ == "__main__":
    main(sys.argv[1:])
