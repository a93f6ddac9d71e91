"""Compression of the keyword DS-CNN: accuracy and bytes of the exported files.

    python -m benchmarks.compression_table [--test FILE.npz] [--seeds N] [VARIANT ...]

Every variant of a seed begins at the same trained float model, is trained on where it needs
training, and is exported with all gates. The accuracy is that of the exported file, on XNNPACK and
on TFLite Micro, on the clips of `--test` (x_test, y_test; without it the package's 416 held-back
clips). Prints a Markdown table: mean and spread over the seeds, the difference from float with its
95 % interval by paired bootstrap over seeds and clips, and bytes: of the dense file, plain and by
gzip -9, and of the smallest file that mobile-int8 and microcontroller-int8 load and that answers
bit for bit the same. Finished trials are kept in benchmarks/.cache/trials; delete them there to
run them anew.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.keyword_trials import (
    CACHE,
    CALIBRATION_CLIPS,
    Trial,
    batches,
    compile_for,
    difference_interval,
    exported,
    gates_failed,
    judging_clips,
    load_float_model,
    print_table,
    run_child,
    steps_of,
    trial_of,
    trials_parser,
)
from tfgreen.demonstration.keywords import Keywords, load_keywords

PRUNING_EPOCHS = 30
CLUSTERING_EPOCHS = 10
ROUNDING_EPOCHS = 20
BOTH = ("xnnpack", "micro")
TARGETS = {"mobile": "mobile-int8", "micro": "microcontroller-int8"}
HEADER = (
    "variant",
    "XNNPACK %",
    "TFLM %",
    "spread",
    "against float, points",
    "bytes",
    "gzip",
    "gzip / float's",
    "mobile",
    "micro",
    "zeros %",
    "s",
)


def trained(model: Any, epochs: int, peak: float, keywords: Keywords, seed: int) -> Any:
    """The model after that many epochs more."""
    compile_for(model, steps_of(keywords, epochs), peak)
    model.fit(batches(keywords, seed), epochs=epochs, verbose=0)
    return model


def fine_tuned(
    technique: Any, model: Any, epochs: int, peak: float, seed: int, taught: bool = False
) -> Any:
    """A technique's whole life: prepare, compile, fit, finalize; taught: by the float model."""
    import tfgreen as tg

    keywords = load_keywords()
    techniques = [technique]
    if taught:
        techniques.append(tg.Distillation(teacher=load_float_model(seed)))
    for one in techniques:
        model = one.prepare(model, calibration=keywords.x_train[:CALIBRATION_CLIPS])
    model = trained(model, epochs, peak, keywords, seed)
    for one in reversed(techniques):
        model = one.finalize(model)
    return model


def pruned(sparsity: float, taught: bool = False) -> Callable[[Any, int], Any]:
    """Pruning in training with the polynomial schedule."""

    def compress(model: Any, seed: int) -> Any:
        import tfgreen as tg

        technique = tg.Pruning(sparsity=sparsity, end=0.5)
        return fine_tuned(technique, model, PRUNING_EPOCHS, 2e-3, seed, taught)

    return compress


def clustered(clusters: int, taught: bool = False, **options: Any) -> Callable[[Any, int], Any]:
    """Clustering in training."""

    def compress(model: Any, seed: int) -> Any:
        import tfgreen as tg

        technique = tg.Clustering(clusters=clusters, **options)
        return fine_tuned(technique, model, CLUSTERING_EPOCHS, 5e-4, seed, taught)

    return compress


def folded(model: Any, seed: int) -> Any:
    """BatchNormalization made part of the kernels, so that one step for each will do."""
    import tfgreen as tg

    return tg.fold_batch_normalization(model)


def rounded(taught: bool = False, **options: Any) -> Callable[[Any, int], Any]:
    """Quantization-aware training."""

    def compress(model: Any, seed: int) -> Any:
        import tfgreen as tg

        technique = tg.QuantizationAwareTraining(**options)
        return fine_tuned(technique, model, ROUNDING_EPOCHS, 5e-4, seed, taught)

    return compress


def longer(model: Any, seed: int) -> Any:
    """No compression, but as many epochs more as the quantization-aware model gets."""
    return trained(model, ROUNDING_EPOCHS, 5e-4, load_keywords(), seed)


def small(sparsity: float, taught: bool = False) -> tuple[Callable[[Any, int], Any], ...]:
    """Everything at once, with one step a layer, as few bytes as these techniques get to."""
    return (
        pruned(sparsity, taught),
        folded,
        clustered(8, taught, preserve_sparsity=True),
        rounded(
            taught,
            preserve_sparsity=True,
            preserve_clusters=True,
            weight_steps="layer",
            weight_bits={"DepthwiseConv2D": 5},
        ),
    )


@dataclass(frozen=True)
class Variant:
    """What is done to the float model, one step after the other, and how it is exported.

    profile: None exports the float file.
    """

    title: str
    steps: tuple[Callable[[Any, int], Any], ...] = ()
    profile: str | None = "mobile-int8"
    kernel_sets: tuple[str, ...] = BOTH


VARIANTS = {
    "float": Variant("float32", profile=None),
    "float-longer": Variant("float32, trained as long as QAT", (longer,), profile=None),
    "ptq": Variant("int8 after training (PTQ)"),
    "qat": Variant("int8 in training (QAT)", (rounded(),)),
    "pruned-50": Variant("50 % pruned + PTQ", (pruned(0.5),)),
    "pruned-80": Variant("80 % pruned + PTQ", (pruned(0.8),)),
    "pruned-90": Variant("90 % pruned + PTQ", (pruned(0.9),)),
    "pqat-80": Variant("80 % pruned, QAT (PQAT)", (pruned(0.8), rounded(preserve_sparsity=True))),
    "cqat-16": Variant("16 clusters, QAT (CQAT)", (clustered(16), rounded(preserve_clusters=True))),
    "pcqat": Variant(
        "80 % pruned, 16 clusters, QAT (PCQAT)",
        (
            pruned(0.8),
            clustered(16, preserve_sparsity=True),
            rounded(preserve_sparsity=True, preserve_clusters=True),
        ),
    ),
    "pcqat-small": Variant(
        "85 % pruned, folded, 8 clusters, QAT with 5-bit depthwise kernels", small(0.85)
    ),
    "pcqat-taught": Variant(
        "88 % pruned, folded, 8 clusters, the same QAT, all taught by the float model",
        small(0.88, taught=True),
    ),
    "qat-int4": Variant("int4 weights in training (QAT)", (rounded(weight_bits=4),)),
}


def file_of(variant: Variant, model: Any) -> tuple[bytes, str]:
    """The file that a user would ship, and the verdict over it; a float file has none."""
    if variant.profile is None:
        from tfgreen.pipeline import float_file
        from tfgreen.tflite import ConversionOptions

        with tempfile.TemporaryDirectory(prefix="tfgreen-benchmark-") as folder:
            return float_file(model, Path(folder) / "float", ConversionOptions()), ""
    bundle = exported(model, load_keywords(), variant.profile, encoding="dense")
    return bundle.content, bundle.certificate.verdict


def zeros(content: bytes) -> float:
    """Share of zeros among the weights of the file's convolutions and matrix products."""
    from tfgreen.flatbuffer import TfliteModel

    model = TfliteModel.from_bytes(content)
    weights = [
        model.constant(op.inputs[1])
        for op in model.ops
        if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    ]
    return sum(int((array == 0).sum()) for array in weights) / sum(map(np.size, weights))


def packed_bytes(content: bytes, profile: str) -> int:
    """Bytes of the smallest file that a profile's runtime loads and that answers the same."""
    from tfgreen.data import Samples
    from tfgreen.encodings import choose_encoding
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.profile import load_profile
    from tfgreen.runtimes import quantize_inputs

    model = TfliteModel.from_bytes(content)
    samples = Samples({model.input_names[0]: load_keywords().x_test[:64]}, {}, "clips")
    inputs = quantize_inputs(model, samples)
    return len(choose_encoding(content, load_profile(profile), inputs).content)


def run_trial(name: str, seed: int, test: str | None) -> None:
    """Compress, export and judge one variant with one seed, and keep the record."""
    variant = VARIANTS[name]
    model = load_float_model(seed)
    began = time.perf_counter()
    for step in variant.steps:
        model = step(model, seed)
    seconds = time.perf_counter() - began
    content, verdict = file_of(variant, model)
    packed = {
        where: packed_bytes(content, profile) if variant.profile else len(content)
        for where, profile in TARGETS.items()
    }
    trial = trial_of(
        content,
        judging_clips(test),
        variant.kernel_sets,
        seconds,
        zeros=zeros(content),
        verdict=verdict,
        **packed,
    )
    trial.save(CACHE / f"{name}-{seed}.npz")
    (CACHE / f"{name}-{seed}.tflite").write_bytes(content)
    scores = ", ".join(f"{key} {value.mean():.4f}" for key, value in trial.correct.items())
    print(
        f"{name}-{seed}: {scores}, {len(content):,} bytes, {trial.gzip_bytes:,} by gzip", flush=True
    )


def trials_of(name: str, seeds: Sequence[int], test: str | None) -> list[Trial]:
    """The records of a variant; what is missing is run in child processes."""
    found = []
    for seed in seeds:
        path = CACHE / f"{name}-{seed}.npz"
        if not path.exists():
            where = ["--test", test] if test else []
            run_child("benchmarks.compression_table", name, "--trial", str(seed), *where)
        found.append(Trial.read(path))
    return found


def row(variant: Variant, trials: Sequence[Trial], floats: Sequence[Trial]) -> tuple[str, ...]:
    """One line of the table."""
    accuracy = {
        kernel_set: [100 * float(trial.correct[kernel_set].mean()) for trial in trials]
        for kernel_set in variant.kernel_sets
    }
    judged = variant.kernel_sets[0]
    mean, low, high = difference_interval(
        [trial.correct[judged] for trial in trials], [trial.correct[judged] for trial in floats]
    )
    gzipped = float(np.mean([trial.gzip_bytes for trial in trials]))
    floats_gzipped = float(np.mean([trial.gzip_bytes for trial in floats]))
    shown = [f"{np.mean(accuracy[k]):.2f}" if k in accuracy else "-" for k in BOTH]
    return (
        f"{variant.title}{gates_failed(trials)}",
        *shown,
        f"{np.std(accuracy[judged], ddof=min(1, len(trials) - 1)):.2f}",
        f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]",
        f"{np.mean([trial.file_bytes for trial in trials]):,.0f}",
        f"{gzipped:,.0f}",
        f"{gzipped / floats_gzipped:.3f}",
        *(f"{np.mean([trial.facts[where] for trial in trials]):,.0f}" for where in TARGETS),
        f"{100 * np.mean([trial.facts['zeros'] for trial in trials]):.0f}",
        f"{np.mean([trial.train_seconds for trial in trials]):.0f}",
    )


def main() -> None:
    """Run what is missing and print the table, or run one trial."""
    parser = trials_parser("Accuracy and bytes of compressed keyword nets.", "variant", VARIANTS)
    parser.add_argument("--trial", type=int, metavar="SEED", help="run one trial in this process")
    given = parser.parse_args()
    names = given.variants or list(VARIANTS)
    if given.trial is not None:
        for name in names:
            run_trial(name, given.trial, given.test)
        return
    seeds = range(given.seeds)
    floats = trials_of("float", seeds, given.test)
    lines = [row(VARIANTS[name], trials_of(name, seeds, given.test), floats) for name in names]
    print_table(HEADER, lines)


if __name__ == "__main__":
    main()
