"""Energy of an int8 inference over that of a float32 one, three networks, at equal watts.

    python -m benchmarks.energy_ratio [--sessions N] [--rounds N] [--seeds N] [NAME ...]

Three seeds of each network, trained on the spoken keywords: of the DS-CNN the float models of
benchmarks/keyword_trials.py; ResNet-8 and MobileNetV2 get the same MFCCs as pictures and few
epochs, since weights do not change what is computed. Each is exported for mobile-int8. The int8
and the float file of a seed are timed by turns with one thread on LiteRT's kernels. The ratio is
that of processor time; the watts cancel where both draw the same. Joules are modelled, with the
range of `tfgreen/footprint/watts.toml`. Files are kept in benchmarks/.cache.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import keyword_trials
from benchmarks.models import CACHE, NETWORKS
from tfgreen.benchmarking.files import TimedFile
from tfgreen.benchmarking.latency import Effort, benchmark_files
from tfgreen.benchmarking.record import Benchmark
from tfgreen.benchmarking.timings import Ratio
from tfgreen.demonstration.keywords import Keywords, load_keywords
from tfgreen.footprint.estimate import watts_of
from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.pipeline import float_file, make_bundle
from tfgreen.profile import load_profile
from tfgreen.tflite import ConversionOptions

# Networks by name, with the pixels of a picture's side; the DS-CNN takes the MFCCs themselves.
PIXELS = {"ds-cnn": None, "resnet8": 32, "mobilenetv2": 96}
EPOCHS = {"resnet8": 8, "mobilenetv2": 4}
KERNEL_SETS = ("xnnpack", "optimized")
HEADER = ("network", "seed", "kernels", "int8, 1,000 inferences", "float32, 1,000", "ratio")
FOLDER = CACHE / "energy"
_CLIPS = 1024
_CALIBRATION_CLIPS = 128
_PROFILE = "mobile-int8"


def main(arguments: Sequence[str]) -> None:
    """Make the files that are missing, time them and print the tables; or train one model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=list(PIXELS), metavar="NAME")
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=len(keyword_trials.SEEDS))
    parser.add_argument("--train", type=int, metavar="SEED", help="train one in this process")
    options = parser.parse_args(arguments)
    if options.train is not None:
        train(options.networks[0], options.train)
        return
    effort = Effort(sessions=options.sessions, rounds=options.rounds)
    found = {
        (name, seed): timed(name, seed, effort)
        for name in options.networks
        for seed in range(options.seeds)
    }
    keyword_trials.print_table(
        HEADER,
        [
            row(name, seed, one, kernels)
            for kernels in KERNEL_SETS
            for (name, seed), one in found.items()
        ],
    )
    print()
    keyword_trials.print_table(
        (
            "network",
            "kernels",
            "ratio, median of the seeds",
            "lowest and highest end of an interval",
        ),
        [
            summary(name, kernels, [found[name, seed] for seed in range(options.seeds)])
            for kernels in KERNEL_SETS
            for name in options.networks
        ],
    )


def timed(name: str, seed: int, effort: Effort) -> Benchmark:
    """Both files of a seed, by turns."""
    files = [
        TimedFile("int8", int8_file(name, seed)),
        TimedFile("float32", float32_file(name, seed)),
    ]
    found = benchmark_files(files, baseline=1, kernel_sets=KERNEL_SETS, effort=effort)
    print(f"{name} {seed}: load {found.host.load_before} before it", file=sys.stderr, flush=True)
    return found


def row(name: str, seed: int, found: Benchmark, kernels: str) -> tuple[str, ...]:
    """One line of the first table."""
    cells = []
    for file in ("int8", "float32"):
        seconds = found.row(file, kernel_set=kernels).cpu_seconds or 0.0
        joules = amount_text(watts_of().joules(1000 * seconds), "J")
        cells.append(f"{joules}, {seconds_text(1000 * seconds)}")
    ratio = ratio_of(found, kernels)
    interval = f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
    return (NETWORKS[name].title, str(seed), kernels, *cells, interval)


def summary(name: str, kernels: str, found: Sequence[Benchmark]) -> tuple[str, ...]:
    """One line of the second table."""
    ratios = [ratio_of(one, kernels) for one in found]
    return (
        NETWORKS[name].title,
        kernels,
        f"{statistics.median(one.median for one in ratios):.3f}",
        f"{min(one.low for one in ratios):.3f} to {max(one.high for one in ratios):.3f}",
    )


def ratio_of(found: Benchmark, kernels: str) -> Ratio:
    """Processor time of the int8 file over that of the float file."""
    for one in found.comparisons:
        if one.kernel_set == kernels and one.cpu_ratio is not None:
            return one.cpu_ratio
    raise SystemExit(f"{kernels} ran only one of the two files")


def int8_file(name: str, seed: int) -> bytes:
    """The exported file, made once."""
    path = FOLDER / f"{name}-{seed}-int8.tflite"
    if not path.exists():
        clips = pictures(load_keywords(), PIXELS[name])[:_CALIBRATION_CLIPS]
        bundle = make_bundle(str(model_path(name, seed)), clips, load_profile(_PROFILE))
        print(f"{path.stem}: {bundle.certificate.verdict}", file=sys.stderr, flush=True)
        _keep(path, bundle.content)
    return path.read_bytes()


def float32_file(name: str, seed: int) -> bytes:
    """The float file of the same network, made once."""
    path = FOLDER / f"{name}-{seed}-float32.tflite"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            source = str(model_path(name, seed))
            _keep(path, float_file(source, Path(folder), ConversionOptions()))
    return path.read_bytes()


def model_path(name: str, seed: int) -> Path:
    """The trained model of a seed; trained in a child process when it is missing."""
    if PIXELS[name] is None:
        return keyword_trials.float_model_path(seed)
    path = FOLDER / f"{name}-{seed}.keras"
    if not path.exists():
        keyword_trials.run_child("benchmarks.energy_ratio", name, "--train", str(seed))
    return path


def train(name: str, seed: int) -> None:
    """A few epochs on the clips as pictures, so that the gates find a network that has learnt."""
    import keras

    keras.utils.set_random_seed(seed)
    keywords = load_keywords()
    model = NETWORKS[name].build(keras)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # its statistics settle within an epoch
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clips, labels = pictures(keywords, PIXELS[name]), keywords.y_train[:_CLIPS]
    kept = labels < model.output_shape[-1]  # ten classes; the keywords have twelve
    model.fit(clips[kept], labels[kept], batch_size=32, epochs=EPOCHS[name], verbose=2)
    FOLDER.mkdir(parents=True, exist_ok=True)
    model.save(FOLDER / f"{name}-{seed}.keras")


def pictures(keywords: Keywords, pixels: int | None) -> np.ndarray:
    """MFCCs (n, 49, 10, 1), or pictures of them (n, pixels, pixels, 3), float32."""
    clips = keywords.x_train[:_CLIPS]
    if pixels is None:
        return clips
    from scipy.ndimage import zoom

    _, frames, coefficients, _ = clips.shape
    scaled = zoom(clips, (1, pixels / frames, pixels / coefficients, 1), order=1)
    return np.repeat(scaled / np.abs(scaled).max(), 3, axis=-1).astype(np.float32)


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
