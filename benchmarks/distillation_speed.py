"""Seconds an epoch of distillation, against `keras.distillation.Distiller`.

    python -m benchmarks.distillation_speed [--rounds N] [--epochs N]

The same teacher and student (DS-CNNs on the spoken keywords; the teacher needs more than ten times
the student's multiplications), the same batches, one process, in turns, so that a machine that
slows down slows all of them down. The first epoch of each, which makes the graph, is left out; for
the cache it is shown on its own, with the pass of the teacher in it. Prints a Markdown table:
median and least seconds of an epoch, and the ratio to Keras's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.distillation_nets import keyword_net
from tfgreen.demonstration.keywords import Keywords, load_keywords

TEACHER_WIDTH, STUDENT_WIDTH = 68, 16
BATCH_SIZE = 32


def keras_distiller(student: Any, teacher: Any) -> Any:
    """Keras's own; its default loss takes no softmax, so the right one is given."""
    import keras

    loss = keras.distillation.LogitsDistillation(keras.losses.KLDivergence(), temperature=2.0)
    return keras.distillation.Distiller(
        teacher=teacher,
        student=student,
        distillation_losses=[loss],
        student_loss_weight=0.1,
    )


def our_distiller(student: Any, teacher: Any, cache: str | None = None) -> Any:
    """`tg.Distiller` with the same settings."""
    import tfgreen as tg

    return tg.Distiller(student, teacher, alpha=0.1, temperature=2.0, cache=cache)


def compiled(distiller: Any) -> Any:
    """Adam, and the cross-entropy of logits."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(1e-3), loss)
    return distiller


def timed_epoch(distiller: Any, keywords: Keywords) -> float:
    """Wall seconds of one epoch of `fit`."""
    began = time.perf_counter()
    distiller.fit(keywords.x_train, keywords.y_train, batch_size=BATCH_SIZE, verbose=0)
    return time.perf_counter() - began


def multiplications(model: Any) -> int:
    """Of one clip, in convolutions and the dense layer."""
    total = 0
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        places = int(np.prod(layer.output.shape[1:-1])) if len(layer.output.shape) > 2 else 1
        total += places * int(np.prod(kernel.shape))
    return total


def main() -> None:
    """Time all of them in turns and print the table."""
    import keras

    parser = argparse.ArgumentParser(description="Seconds an epoch of distillation.")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each (default 5)")
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    keywords = load_keywords()
    teacher = keyword_net(TEACHER_WIDTH)
    factor = multiplications(teacher) / multiplications(keyword_net(STUDENT_WIDTH))
    with tempfile.TemporaryDirectory(prefix="tfgreen-benchmark-") as folder:
        kinds: dict[str, Callable[[], Any]] = {
            "keras.distillation.Distiller": lambda: keras_distiller(net(), teacher),
            "tg.Distiller": lambda: our_distiller(net(), teacher),
            "tg.Distiller, cache": lambda: our_distiller(net(), teacher, folder),
            "the student alone": net,
        }
        distillers = {name: compiled(make()) for name, make in kinds.items()}
        firsts = {name: timed_epoch(one, keywords) for name, one in distillers.items()}
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(given.rounds):
            for name, one in distillers.items():
                seconds[name].append(timed_epoch(one, keywords))
    print(f"{len(keywords.x_train)} clips, batches of {BATCH_SIZE}, the teacher has {factor:.1f} ")
    print("times the student's multiplications.\n")
    print("| | first epoch, s | later: median s | least s | against Keras's |")
    print("|---|--:|--:|--:|--:|")
    baseline = np.median(seconds["keras.distillation.Distiller"])
    for name, values in seconds.items():
        median = np.median(values)
        print(
            f"| {name} | {firsts[name]:.2f} | {median:.2f} | {min(values):.2f} "
            f"| {median / baseline:.2f} |"
        )


def net() -> Any:
    """A new student."""
    return keyword_net(STUDENT_WIDTH)


if __name__ == "__main__":
    main()
