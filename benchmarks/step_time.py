"""What a training step costs under compression, against the plain Keras 3 model's.

    python -m benchmarks.step_time [--rounds N] [--steps N] [--threads N] [NAME ...]

Every variant is the same network with the same data, compiled with Adam, trained by `fit`. In a
round each trains two epochs, in turns, in an order that is drawn anew, and the second is timed, so
that building the graphs is not in it. A ratio is taken
round by round, against the plain model's time in the same round; its median and interquartile
range over the rounds are told, and the median milliseconds of a step. The same for the CPU time of
the whole process, which other processes on the machine disturb less.

Keras 3 may compile a step with XLA ("auto"), TensorFlow Model Optimization cannot: the plain model
is timed as it is and without, and the ratios are against the former.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.models import NETWORKS

ROUNDS = 9
STEPS = 60
BATCH_SIZE = 32
TARGET_RATIO = 1.2
CALIBRATION_SAMPLES = 100


@dataclass
class Variant:
    """One model in training; wall and CPU seconds of a step, round by round."""

    title: str
    model: Any
    callbacks: Callable[[], list[Any]] = field(default=list)
    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def clock(keras: Any) -> Any:
    """A Keras 3 callback that takes the time of an epoch's steps; the twins take it as it is."""

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        # fit's last epoch stands.
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.wall, self.cpu = time.perf_counter(), time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.wall = time.perf_counter() - self.wall
            self.cpu = time.process_time() - self.cpu

    return Clock()


def compiled(keras: Any, name: str, **settings: Any) -> Any:
    """The network of a name, untrained, as a user compiles it."""
    keras.utils.set_random_seed(0)
    model = NETWORKS[name].build(keras)
    optimizer = settings.pop("optimizer", None) or keras.optimizers.Adam(1e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    return model


def variants(keras: Any, name: str, x: np.ndarray) -> list[Variant]:
    """The plain model first."""
    import tfgreen as tg
    from tfgreen.models.bridge import to_keras2

    def watching() -> list[Any]:
        logger = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
        return [logger, keras.callbacks.EarlyStopping("loss", patience=10**6)]

    model = compiled(keras, name)
    hosted = compiled(keras, name, optimizer=keras.optimizers.Nadam(1e-3))
    own_metrics = compiled(keras, name)
    own_metrics.compile(
        keras.optimizers.Adam(1e-3),
        "sparse_categorical_crossentropy",
        metrics=[lambda y, p: keras.metrics.sparse_categorical_accuracy(y, p)],
    )
    found = [
        Variant("plain Keras 3", model),
        Variant("plain Keras 3, jit_compile=False", compiled(keras, name, jit_compile=False)),
        Variant("plain Keras 3, Nadam", hosted),
        Variant("plain Keras 3, callback each batch", compiled(keras, name), watching),
        Variant("twin", to_keras2(model)),
        Variant("twin, Keras 3's Nadam inside", to_keras2(hosted)),
        Variant("twin, Keras 3 metric inside", to_keras2(own_metrics)),
        Variant("twin, Keras 3 callback each batch", to_keras2(model), watching),
        Variant("Pruning(sparsity=0.8)", tg.Pruning(sparsity=0.8).prepare(model)),
    ]
    for title, share in (("norms in training", None), ("norms frozen", 0.0)):
        training = tg.QuantizationAwareTraining(freeze_batch_norm_after=share)
        found.append(Variant(f"quantization-aware, {title}", training.prepare(model, x)))
    return found


def measure(found: Sequence[Variant], x: np.ndarray, y: np.ndarray, rounds: int) -> None:
    """Two epochs of each in turns; the first round is not counted."""
    import keras

    order = list(found)
    shuffler = random.Random(0)
    steps = len(x) // BATCH_SIZE
    for number in range(rounds + 1):
        shuffler.shuffle(order)
        for variant in order:
            watch = clock(keras)
            callbacks = [*variant.callbacks(), watch]
            variant.model.fit(x, y, epochs=2, batch_size=BATCH_SIZE, verbose=0, callbacks=callbacks)
            if number:
                variant.wall_seconds.append(watch.wall / steps)
                variant.cpu_seconds.append(watch.cpu / steps)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)


def print_table(found: Sequence[Variant]) -> None:
    """Milliseconds, and ratios to the first variant."""
    print(f"\n  {'':<36}{'wall ms':>8}{'ratio':>7} {'(IQR)':<13}{'CPU ms':>8}{'ratio':>7} (IQR)")
    for variant in found:
        wall = described(variant.wall_seconds, found[0].wall_seconds)
        cpu = described(variant.cpu_seconds, found[0].cpu_seconds)
        print(f"  {variant.title:<36}{wall} {cpu}".rstrip())
    print(f"  target: pruned and quantization-aware at most {TARGET_RATIO} of the plain model")


def described(seconds: Sequence[float], plain: Sequence[float]) -> str:
    """Median milliseconds, and the median and interquartile range of the ratios."""
    ratios = [own / reference for own, reference in zip(seconds, plain, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    spread = f"({low:.2f}-{high:.2f})"
    return (
        f"{1000 * statistics.median(seconds):>8.2f}{statistics.median(ratios):>7.2f} {spread:<12}"
    )


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description="The time of a training step, in turns.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="counted rounds")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of an epoch")
    parser.add_argument("--threads", type=int, default=0, help="TensorFlow's; 0: as it likes")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} processors, {arguments.threads or 'all'} threads")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    for name in arguments.names or ["ds-cnn"]:
        task = NETWORKS[name].task()
        (inputs,), (labels,) = task.inputs.values(), task.labels.values()
        rows = np.resize(np.arange(len(inputs)), arguments.steps * BATCH_SIZE)
        found = variants(keras, name, inputs[:CALIBRATION_SAMPLES])
        measure(found, inputs[rows], labels[rows], max(2, arguments.rounds))
        print(f"\n{NETWORKS[name].title}, {max(2, arguments.rounds)} rounds of {arguments.steps}")
        print_table(found)


if __name__ == "__main__":
    main()
