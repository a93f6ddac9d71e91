"""What the meter and the ledger cost a fit, in one interleaved run.

    python -m benchmarks.meter_overhead [--rounds N] [--steps N]

The same DS-CNN, data and compiled step, one thread; in a round three fits of one epoch take turns
in an order that is drawn anew: without a callback, with `MeterCallback`, and with a ledger on disk,
which is written at the start and at the end. Two figures, each with the 95 % interval of the
median over the rounds:

- the hooks' share: processor time that the process took inside the callback's hooks, over that of
  the same fit. Both are of one fit, so that a busy machine stretches both;
- the ratio of a fit with the callback to the one without of the same round: all that a callback
  may cost, and all the noise of the machine.

The hooks take the same for a short fit and for a long one, so that short fits show the most of it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.keyword_trials import ONE_THREAD, print_table
from benchmarks.models import NETWORKS, cached_model
from tfgreen.benchmarking.timings import ratio_of
from tfgreen.footprint.callback import MeterCallback
from tfgreen.footprint.ledger import Ledger
from tfgreen.wording import share_text

NETWORK = "ds-cnn"
PLAIN, TARGET_SHARE = "without", 0.01
BATCH_SIZE = 32
HOOKS = ("on_train_begin", "on_epoch_end", "on_train_end")


@dataclass(frozen=True)
class Fit:
    """Seconds of one fit, and of the callback's hooks within."""

    cpu: float
    wall: float
    cpu_of_hooks: float
    wall_of_hooks: float


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args(arguments)
    os.environ.update(ONE_THREAD)
    with tempfile.TemporaryDirectory() as folder:
        callbacks: dict[str, Callable[[], Any]] = {
            PLAIN: lambda: None,
            "meter": MeterCallback,
            "ledger on disk": lambda: new_ledger(folder).callback(),
        }
        fits = take_turns(callbacks, options.rounds, options.steps)
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    cpu = statistics.median(fit.cpu for fit in fits[PLAIN])
    wall = statistics.median(fit.wall for fit in fits[PLAIN])
    print(
        f"A fit of {NETWORKS[NETWORK].title}, {options.rounds} rounds of {options.steps} steps; "
        f"without a callback {cpu:.2f} s of processor time in {wall:.2f} s; {load}\n"
    )
    print_table(
        ("callback", "hooks' share, processor", "hooks, wall", "ratio, processor", "ratio, wall"),
        [row(name, fits) for name in callbacks if name != PLAIN],
    )
    print(f"\nTarget: at most {share_text(TARGET_SHARE, 0)}.")


def new_ledger(folder: str) -> Ledger:
    """An empty one, on disk."""
    return Ledger(Path(tempfile.mkdtemp(dir=folder)) / "ledger.json")


def row(name: str, fits: dict[str, list[Fit]]) -> tuple[str, ...]:
    """One line of the table."""
    mine, plain = fits[name], fits[PLAIN]
    share = ratio_of([[fit.cpu_of_hooks for fit in mine]], [[fit.cpu for fit in mine]])
    cpu = ratio_of([[fit.cpu for fit in mine]], [[fit.cpu for fit in plain]])
    wall = ratio_of([[fit.wall for fit in mine]], [[fit.wall for fit in plain]])
    hooks = statistics.median(fit.wall_of_hooks for fit in mine)
    return (
        name,
        f"{share_text(share.median, 3)} [{share_text(share.low, 3)}, {share_text(share.high, 3)}]",
        f"{1000 * hooks:.1f} ms a fit",
        f"{cpu.median:.4f} [{cpu.low:.4f}, {cpu.high:.4f}]",
        f"{wall.median:.4f} [{wall.low:.4f}, {wall.high:.4f}]",
    )


def take_turns(
    callbacks: dict[str, Callable[[], Any]], rounds: int, steps: int
) -> dict[str, list[Fit]]:
    """Each fit by variant, round by round; the first round is dropped."""
    import keras

    model = keras.models.load_model(cached_model(NETWORK).path, compile=False)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    task = NETWORKS[NETWORK].task()
    count = steps * BATCH_SIZE
    x = next(iter(task.inputs.values()))[:count]
    y = next(iter(task.labels.values()))[:count]
    draw, names = random.Random(0), list(callbacks)
    fits: dict[str, list[Fit]] = {name: [] for name in names}
    for number in range(rounds + 1):
        draw.shuffle(names)
        for name in names:
            callback, inside = callbacks[name](), [0.0, 0.0]
            if callback is not None:
                watch_hooks(callback, inside)
            given = [] if callback is None else [callback]
            wall, cpu = time.perf_counter(), time.process_time()
            model.fit(x, y, batch_size=BATCH_SIZE, verbose=0, shuffle=False, callbacks=given)
            fit = Fit(time.process_time() - cpu, time.perf_counter() - wall, *inside)
            if number:
                fits[name].append(fit)
    return fits


def watch_hooks(callback: Any, inside: list[float]) -> None:
    """Add processor and wall seconds of a callback's hooks to `inside` whenever one is called."""
    for name in HOOKS:
        setattr(callback, name, _watched(getattr(callback, name), inside))


def _watched(hook: Callable[..., None], inside: list[float]) -> Callable[..., None]:
    def watched(*given: Any, **named: Any) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        hook(*given, **named)
        inside[0] += time.process_time() - cpu
        inside[1] += time.perf_counter() - wall

    return watched


if __name__ == "__main__":
    main(sys.argv[1:])
