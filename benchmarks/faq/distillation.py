"""Does distillation work for every kind of model?

Of the keyword DS-CNN the figures of benchmarks/distillation_table.py, read off docs/benchmarks.md.
For each other kind a student that is too small, alone and with a teacher, three seeds, in three
settings:

few         the student has a fifth of the labels, and sees the other samples, too, with the
            teacher, which was trained on all labels
few-both    the teacher was trained on the labels of that fifth only
all         both have all labels

Alone and taught take the same number of steps. The score is accuracy, or for values the share of
the variance that is explained, of the float student on samples that nobody was trained on.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faq.kinds import KINDS, Arrays, Kind
from benchmarks.faq.records import interval_of
from benchmarks.keyword_trials import CACHE, difference_interval

SEEDS = (0, 1, 2)
LABELLED_SHARE = 0.2
_LEARNING_RATE = 2e-3
ALPHA, TEMPERATURE = 0.1, 2.0
BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_PLACE = CACHE.parent / "faq" / "distillation"
_BATCH = 32


def measure(test: str | None) -> dict[str, Any]:
    """The record: one row for each kind and setting."""
    rows = published()
    for name, kind in KINDS.items():
        path = _PLACE / f"{name}.json"
        if not path.exists():
            _PLACE.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(rows_of(kind, test)), encoding="utf-8")
        rows += json.loads(path.read_text(encoding="utf-8"))
    return {
        "seeds": len(SEEDS),
        "labelled_share": LABELLED_SHARE,
        "alpha": ALPHA,
        "temperature": TEMPERATURE,
        "rows": rows,
    }


def published() -> list[dict[str, Any]]:
    """The rows of the keyword DS-CNN, from the tables of docs/benchmarks.md."""
    text = BENCHMARKS.read_text(encoding="utf-8").split("\n## Distillation\n")[1].split("\n## ")[0]
    found = {
        name: re.findall(rf"^\| {re.escape(name)} \|(.+)\|$", text, re.MULTILINE)
        for name in ("teacher", "student alone", "+ teacher's logits")
    }
    rows = []
    for setting, *lines in zip(("few", "few-both", "all"), *found.values(), strict=True):
        cells = [[cell.strip() for cell in line.split("|")] for line in lines]
        teacher, alone, taught = (float(line[0]) for line in cells)
        low, high = (float(one) for one in cells[2][3].strip("[]").split(","))
        gain = float(cells[2][2].split("±")[0])
        rows.append(
            {
                "kind": "depthwise-separable convolutions",
                "task": "words",
                "setting": setting,
                "teacher": teacher,
                "alone": alone,
                "taught": taught,
                "gain": interval_of(gain, low, high),
            }
        )
    return rows


def rows_of(kind: Kind, test: str | None) -> list[dict[str, Any]]:
    """The rows of one kind, told as they come."""
    began = time.process_time()
    arrays = kind.data(test)
    whole = np.ones(len(arrays[1]), bool)
    teacher = _trained(kind, kind.widths[1], 100, arrays, whole)
    rows = [_row(kind, setting, arrays, teacher) for setting in kind.settings]
    print(f"  {time.process_time() - began:.0f} s of processor time", flush=True)
    return rows


def _row(kind: Kind, setting: str, arrays: Arrays, teacher: Any) -> dict[str, Any]:
    small, large = kind.widths
    whole = np.ones(len(arrays[1]), bool)
    alone: list[np.ndarray] = []
    taught: list[np.ndarray] = []
    teachers: list[np.ndarray] = []
    for seed in SEEDS:
        labelled = whole if setting == "all" else _labelled(arrays[1], seed)
        guide = teacher
        if setting == "few-both":
            guide = _trained(kind, large, 100 + seed, arrays, labelled)
        students = [_trained(kind, small, seed, arrays, labelled, one) for one in (None, guide)]
        for found, model in zip((alone, taught, teachers), (*students, guide), strict=True):
            found.append(scores(model, arrays))
    row = {
        "kind": kind.title,
        "task": kind.task,
        "setting": setting,
        "student_parameters": students[0].count_params(),
        "teacher_parameters": guide.count_params(),
        "judged_samples": len(arrays[3]),
        "teacher": _percent(teachers),
        "alone": _percent(alone),
        "taught": _percent(taught),
        "gain": interval_of(*difference_interval(taught, alone)),
    }
    print(f"{kind.title}, {setting}: {row['alone']} {row['gain']}", flush=True)
    return row


def _percent(found: list[np.ndarray]) -> float:
    return round(100 * float(np.mean(found)), 2)


def scores(model: Any, arrays: Arrays) -> np.ndarray:
    """(n,) per sample: 1 for a right class; for values 1 - squared error / mean variance."""
    _, _, x, y = arrays
    answers = np.asarray(model.predict(x, batch_size=512, verbose=0))
    if y.dtype.kind == "i":
        return (answers.argmax(-1) == y).astype(np.float64)
    return 1 - ((answers - y) ** 2).mean(-1) / y.var(0).mean()


def _labelled(y: np.ndarray, seed: int) -> np.ndarray:
    """(n,) bool: a fifth of the samples, of each class alike."""
    random = np.random.default_rng(seed)
    chosen = np.zeros(len(y), bool)
    groups = [y == label for label in np.unique(y)] if y.dtype.kind == "i" else [np.ones(len(y))]
    for group in map(np.flatnonzero, groups):
        chosen[random.choice(group, max(1, round(LABELLED_SHARE * len(group))), replace=False)] = (
            True
        )
    return chosen


def _trained(
    kind: Kind, width: int, seed: int, arrays: Arrays, labelled: np.ndarray, teacher: Any = None
) -> Any:
    """A network after its training: on the labelled samples, or with a teacher on all."""
    import keras
    import tensorflow as tf

    import tfgreen as tg

    keras.utils.set_random_seed(seed)
    model = kind.build(width)
    x, y, _, _ = arrays
    steps = kind.epochs * -(-len(x) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    is_class = y.dtype.kind == "i"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if is_class else "mse"
    if teacher is None:
        fitted, x, y, weights = model, x[labelled], y[labelled], np.ones(labelled.sum())
    else:
        fitted = tg.Distiller(
            model, teacher, alpha=ALPHA, temperature=TEMPERATURE, sample_weights="labels"
        )
        weights = labelled
    fitted.compile(keras.optimizers.Adam(rate), loss)
    data = tf.data.Dataset.from_tensor_slices((x, y, weights.astype(np.float32)))
    data = data.shuffle(len(x), seed=0, reshuffle_each_iteration=True).repeat().batch(_BATCH)
    fitted.fit(data, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model
