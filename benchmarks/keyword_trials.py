"""Trials on the spoken keywords: train a variant of the DS-CNN, export it, judge the file.

What the tables of benchmarks/compression_table.py and its like share. A trial is one variant with
one seed. It runs in a process of its own, its record is kept in benchmarks/.cache, and a run that
was stopped goes on where it was.

All variants of a seed begin at the same trained float model. The clips that a table is judged by
are never trained on, nor is any setting chosen by them: settings were chosen on `Keywords.x_test`,
and `--test FILE.npz` (x_test, y_test) gives others for the table.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.demonstration.keywords import Keywords, load_keywords

CACHE = Path(__file__).parent / ".cache" / "trials"
SEEDS = (0, 1, 2)
BATCH_SIZE = 32
CALIBRATION_CLIPS = 400
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)
"""For the environment, before TensorFlow is imported."""
_FLOAT_EPOCHS = 40
_PEAK_LEARNING_RATE = 4e-3
_SHIFT_FRAMES = 6
_NOISE_DEVIATIONS = 0.2
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Clips:
    """Clips to judge by: x (n, 49, 10, 1) float32, y (n,) class indices."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One file of one variant with one seed.

    Attributes:
        file_bytes, gzip_bytes: of the exported file, plain and by gzip -9.
        correct: by kernel set, (n,) bool: which clips are labelled rightly.
        train_seconds: wall seconds of compressing, without the float model's training.
        facts: what else the table shows.
    """

    file_bytes: int
    gzip_bytes: int
    correct: dict[str, np.ndarray]
    train_seconds: float
    facts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the record in one step."""
        scalars = {
            "file_bytes": self.file_bytes,
            "gzip_bytes": self.gzip_bytes,
            "train_seconds": self.train_seconds,
            "facts": self.facts,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, scalars=json.dumps(scalars), **self.correct)  # type: ignore[arg-type]
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Trial:
        """The record of an earlier run."""
        with np.load(path, allow_pickle=False) as stored:
            scalars = json.loads(str(stored["scalars"]))
            correct = {name: stored[name] for name in stored.files if name != "scalars"}
        return cls(correct=correct, **scalars)


def judging_clips(test: str | None) -> Clips:
    """The clips of a file with x_test and y_test, or the package's own held-back ones."""
    if test is None:
        keywords = load_keywords()
        return Clips(keywords.x_test, keywords.y_test)
    with np.load(test, allow_pickle=False) as stored:
        return Clips(stored["x_test"].astype(np.float32), stored["y_test"].astype(np.int32))


def batches(keywords: Keywords, seed: int) -> Any:
    """An endless-looking dataset of one epoch: clips moved in time and with other noise each time.

    Batches of (32, 49, 10, 1) float32 and (32,) int32; of known length, shuffled.
    """
    import tensorflow as tf

    clips = keywords.x_train
    deviations = (clips.std(axis=(0, 1)) * _NOISE_DEVIATIONS).astype(np.float32)
    frames = clips.shape[1]

    def varied(clip: Any, label: Any, noise_seed: Any) -> tuple[Any, Any]:
        shift = tf.random.stateless_uniform(
            (), noise_seed, -_SHIFT_FRAMES, _SHIFT_FRAMES + 1, tf.int32
        )
        moved = tf.gather(clip, tf.clip_by_value(tf.range(frames) + shift, 0, frames - 1))
        noise = tf.random.stateless_normal(clip.shape, noise_seed + 1)
        return moved + deviations * noise, label

    data = tf.data.Dataset.from_tensor_slices((clips, keywords.y_train))
    data = data.shuffle(len(clips), seed=seed, reshuffle_each_iteration=True)
    noise_seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(
        2, drop_remainder=True
    )
    data = tf.data.Dataset.zip((data, noise_seeds))
    data = data.map(lambda pair, noise_seed: varied(pair[0], pair[1], noise_seed))
    data = data.batch(BATCH_SIZE)
    return data.apply(tf.data.experimental.assert_cardinality(-(-len(clips) // BATCH_SIZE)))


def compile_for(model: Any, steps: int, peak_learning_rate: float) -> None:
    """Adam with a cosine down to zero over that many steps; cross-entropy and accuracy."""
    import keras

    rate = keras.optimizers.schedules.CosineDecay(peak_learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )


def steps_of(keywords: Keywords, epochs: int) -> int:
    """Optimizer steps of that many epochs."""
    return epochs * -(-len(keywords.x_train) // BATCH_SIZE)


def float_model_path(seed: int) -> Path:
    """The float model of a seed; trained in a child process when it is missing."""
    path = CACHE / f"float-{seed}.keras"
    if not path.exists():
        run_child("benchmarks.keyword_trials", str(seed))
    return path


def load_float_model(seed: int) -> Any:
    """The trained Keras 3 model that all variants of a seed begin at."""
    import keras

    return keras.models.load_model(float_model_path(seed), compile=False)


def train_float_model(seed: int, build: Callable[[], Any], path: Path) -> None:
    """Train a network on the varied clips and save it."""
    import keras

    keras.utils.set_random_seed(seed)
    keywords = load_keywords()
    model = build()
    compile_for(model, steps_of(keywords, _FLOAT_EPOCHS), _PEAK_LEARNING_RATE)
    began = time.perf_counter()
    model.fit(batches(keywords, seed), epochs=_FLOAT_EPOCHS, verbose=0)
    held_back = model.evaluate(keywords.x_test, keywords.y_test, verbose=0, return_dict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    accuracy, seconds = held_back["accuracy"], time.perf_counter() - began
    print(f"{path.stem}: held back {accuracy:.4f}, {seconds:.0f} s", flush=True)


def exported(model: Any, keywords: Keywords, profile: str, **options: Any) -> Any:
    """The bundle of a model, judged by the package's held-back clips; its verdict may be failed."""
    import tfgreen as tg

    try:
        return tg.export(
            model,
            keywords.x_train[:CALIBRATION_CLIPS],
            profile=profile,
            evaluate=(keywords.x_test, keywords.y_test),
            **options,
        )
    except tg.GateError as failure:
        return failure.bundle


def trial_of(
    content: bytes, clips: Clips, kernel_sets: Sequence[str], train_seconds: float, **facts: Any
) -> Trial:
    """The record of a file, judged by these clips."""
    return Trial(
        file_bytes=len(content),
        gzip_bytes=gzip_bytes(content),
        correct=judge(content, clips, kernel_sets),
        train_seconds=train_seconds,
        facts=facts,
    )


def gates_failed(trials: Sequence[Trial]) -> str:
    """What a table says behind the name of a variant some of whose files failed a gate."""
    failed = sum(trial.facts.get("verdict") == "failed" for trial in trials)
    return f" (gates failed: {failed} of {len(trials)} files)" if failed else ""


def judge(content: bytes, clips: Clips, kernel_sets: Sequence[str]) -> dict[str, np.ndarray]:
    """Which clips a file labels rightly, (n,) bool for each kernel set."""
    from tfgreen.data import Samples
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.runtimes import Task, quantize_inputs, run_tasks

    model = TfliteModel.from_bytes(content)
    samples = Samples({model.input_names[0]: clips.x}, {}, "clips")
    task = Task("trial", content, quantize_inputs(model, samples))
    correct = {}
    for kernel_set in kernel_sets:
        (outcome,) = run_tasks(kernel_set, [task], timeout_seconds=3600)
        if not outcome.ok:
            raise SystemExit(f"{kernel_set}: {outcome.message}")
        correct[kernel_set] = outcome.outputs[0].reshape(len(clips.y), -1).argmax(-1) == clips.y
    return correct


def gzip_bytes(content: bytes) -> int:
    """Length after gzip -9, without a file name or a time in it."""
    return len(gzip.compress(content, 9, mtime=0))


def print_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A Markdown table; every column but the first is aligned to the right."""
    for cells in chain((header, ("---", *("--:" for _ in header[1:]))), lines):
        print(f"| {' | '.join(cells)} |", flush=True)


def trials_parser(
    description: str, variants: str, names: Iterable[str], seeds: int = 3
) -> ArgumentParser:
    """The command line that the tables share."""
    parser = ArgumentParser(description=description)
    parser.add_argument(
        "variants", nargs="*", metavar=variants.upper(), help=f"of: {', '.join(names)}"
    )
    parser.add_argument("--test", help=".npz with x_test and y_test to judge by")
    parser.add_argument(
        "--seeds", type=int, default=seeds, help=f"how many seeds (default {seeds})"
    )
    return parser


def run_child(module: str, *arguments: str) -> None:
    """`python -m module arguments`, TensorFlow's messages silenced; a failure ends this run."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-m", module, *arguments], env=environment)
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} ended with {done.returncode}")


def difference_interval(
    ours: Sequence[np.ndarray], others: Sequence[np.ndarray], draws: int = 2000
) -> tuple[float, float, float]:
    """Mean difference of accuracy in points, and its 95 % interval, by paired bootstrap.

    `ours` and `others` hold one (n,) bool array a seed, of the same clips. Each draw takes seeds
    and clips with replacement, the same for both.
    """
    random = np.random.default_rng(0)
    differences = np.asarray(ours, np.float64) - np.asarray(others, np.float64)
    seeds, clips = differences.shape
    drawn = [
        differences[random.integers(0, seeds, seeds)].mean(0)[random.integers(0, clips, clips)]
        for _ in range(draws)
    ]
    low, high = np.percentile([float(draw.mean()) * 100 for draw in drawn], _INTERVAL)
    return float(differences.mean()) * 100, float(low), float(high)


def main() -> None:
    """Train the float model of one seed."""
    from tfgreen.demonstration.keyword_spotter import build_keyword_spotter

    seed = int(sys.argv[1])
    train_float_model(seed, build_keyword_spotter, CACHE / f"float-{seed}.keras")


if __name__ == "__main__":
    main()
