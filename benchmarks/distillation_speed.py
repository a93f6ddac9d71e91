"""Seconds an epoch of distillation, against `keras.distillation.Distiller`.

    python -m benchmarks.distillation_speed [--rounds N] [--net plain] [--widths TEACHER,STUDENT]

The same teacher and student (DS-CNNs on the spoken keywords, or plain convolutions; the teacher
needs more than ten times the student's multiplications), the same batches, one process, in turns,
so that a machine that slows down slows all of them down. Every turn is a `fit` of three epochs. The
first `fit` of each, which makes the graph and, with the cache, asks the teacher about every clip,
is shown on its own; of the others all epochs but the first count. Prints a Markdown table: median
and least seconds of an epoch, and the ratios to Keras's and to the floor, which is the student
alone: no cache can make an epoch shorter than that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.distillation_nets import keyword_net, plain_net
from tfgreen.demonstration.keywords import Keywords, load_keywords

NETS: dict[str, tuple[Callable[[int], Any], str]] = {
    "ds-cnn": (keyword_net, "224,64"),
    "plain": (plain_net, "112,32"),
}
EPOCHS = 3
BATCH_SIZE = 32


def keras_distiller(student: Any, teacher: Any) -> Any:
    """Keras's own; its default loss takes no softmax, so the right one is given."""
    import keras

    right = keras.losses.KLDivergence()
    loss = keras.distillation.LogitsDistillation(temperature=2.0, loss=right)
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


def timed_fit(distiller: Any, keywords: Keywords) -> tuple[float, list[float]]:
    """Wall seconds of one `fit`, and of each of its epochs."""
    import keras

    ticks: list[float] = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: ticks.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: ticks.append(time.perf_counter()),
    )
    began = time.perf_counter()
    distiller.fit(
        keywords.x_train,
        keywords.y_train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        callbacks=[watch],
        verbose=0,
    )
    epochs = [end - start for start, end in zip(ticks[::2], ticks[1::2], strict=True)]
    return time.perf_counter() - began, epochs


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
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--net", choices=NETS, default="ds-cnn", help="default ds-cnn")
    parser.add_argument("--widths", help="of teacher and student, as 224,64")
    given = parser.parse_args()
    net, widths = NETS[given.net]
    wide, narrow = map(int, (given.widths or widths).split(","))
    keras.utils.set_random_seed(0)
    keywords = load_keywords()
    teacher = net(wide)
    factor = multiplications(teacher) / multiplications(net(narrow))
    with tempfile.TemporaryDirectory(prefix="tfgreen-benchmark-") as folder:
        kinds: dict[str, Callable[[], Any]] = {
            "keras.distillation.Distiller": lambda: keras_distiller(net(narrow), teacher),
            "tg.Distiller": lambda: our_distiller(net(narrow), teacher),
            "tg.Distiller, cache": lambda: our_distiller(net(narrow), teacher, folder),
            "the student alone": lambda: net(narrow),
        }
        distillers = {name: compiled(make()) for name, make in kinds.items()}
        firsts = {name: timed_fit(one, keywords)[0] for name, one in distillers.items()}
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        for turn in range(given.rounds):
            for name in sorted(kinds, reverse=bool(turn % 2)):
                seconds[name].extend(timed_fit(distillers[name], keywords)[1][1:])
    print(f"{len(keywords.x_train)} clips, batches of {BATCH_SIZE}, the teacher has {factor:.1f} ")
    print("times the student's multiplications.\n")
    print("| | first fit, s | an epoch later: median s | least s | to Keras's | to the floor |")
    print("|---|--:|--:|--:|--:|--:|")
    baseline = np.median(seconds["keras.distillation.Distiller"])
    floor = np.median(seconds["the student alone"])
    for name, values in seconds.items():
        median = np.median(values)
        print(
            f"| {name} | {firsts[name]:.2f} | {median:.2f} | {min(values):.2f} "
            f"| {median / baseline:.2f} | {median / floor:.2f} |"
        )


if __name__ == "__main__":
    main()
