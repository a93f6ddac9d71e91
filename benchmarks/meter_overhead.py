"""What the meter and the ledger cost a fit, in one interleaved run.

    python -m benchmarks.meter_overhead [--rounds N] [--steps N]

The same DS-CNN, data and compiled step; in a round three fits of one epoch take turns in an order
that is drawn anew: without a callback, with `MeterCallback`, and with a ledger on disk, which is
written at the start, after the epoch and at the end. Ratios are taken round by round against the
fit without; told are their median and its 95 % interval. Processor time is that of the process,
which others on the machine disturb less than wall time.
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

from benchmarks.models import NETWORKS, cached_model
from tfgreen.benchmarking.timings import ratio_of
from tfgreen.footprint.callback import MeterCallback
from tfgreen.footprint.ledger import Ledger

NETWORK = "ds-cnn"
PLAIN, TARGET_RATIO = "without", 1.01
BATCH_SIZE = 32
Seconds = dict[str, list[tuple[float, float]]]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args(arguments)
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
    steps = f"{options.rounds} rounds of {options.steps} steps"
    print(f"A fit of {NETWORKS[NETWORK].title}, {steps}, {load}\n")
    print("| callback | wall time | processor time |\n|---|--:|--:|")
    for name in callbacks:
        if name != PLAIN:
            cells = [_ratio(seconds, name, clock) for clock in (0, 1)]
            print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nTarget: at most {TARGET_RATIO:.2f}. The hooks of one such fit alone, without a fit:")
    for name in callbacks:
        if name != PLAIN:
            print(f"- {name}: {hooks_alone(callbacks[name]()[0]) * 1000:.1f} ms of wall time")


def take_turns(callbacks: dict[str, Any], rounds: int, steps: int) -> Seconds:
    """Wall and processor seconds of each fit, by variant, round by round; the first is dropped."""
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
            taken = (time.perf_counter() - wall, time.process_time() - cpu)
            if number:
                seconds[name].append(taken)
    return seconds


def hooks_alone(callback: Any, repeats: int = 51) -> float:
    """Median seconds of what a fit of one epoch asks of a callback."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        callback.on_train_begin()
        callback.on_epoch_end(0)
        callback.on_train_end()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _ratio(seconds: Seconds, name: str, clock: int) -> str:
    mine, theirs = ([one[clock] for one in seconds[who]] for who in (name, PLAIN))
    ratio = ratio_of([mine], [theirs])
    return f"{ratio.median:.4f} [{ratio.low:.4f}, {ratio.high:.4f}]"


if __name__ == "__main__":
    main(sys.argv[1:])
