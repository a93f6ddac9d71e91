"""The demonstration: train a keyword spotter, export it for microcontrollers, prove the file."""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfgreen.bundle import Bundle, check_output
from tfgreen.data import Samples
from tfgreen.demonstration.keyword_spotter import train_keyword_spotter
from tfgreen.demonstration.keywords import Keywords, load_keywords
from tfgreen.footprint.ledger import Ledger
from tfgreen.pipeline import ExportOptions, float_file, make_bundle
from tfgreen.profile import load_profile
from tfgreen.tflite import ConversionOptions
from tfgreen.wording import share_text

OnProgress = Callable[[str, int, int], None]

PROFILE = "microcontroller-int8"
_CALIBRATION_CLIPS = 200


@dataclass(frozen=True)
class StoredSize:
    """Bytes of a file as it is and compressed with gzip."""

    file_bytes: int
    gzip_bytes: int

    @classmethod
    def of(cls, content: bytes) -> StoredSize:
        """Measure a file's content; gzip at level 9.

        >>> StoredSize.of(bytes(1000))
        StoredSize(file_bytes=1000, gzip_bytes=29)
        """
        return cls(len(content), len(gzip.compress(content, compresslevel=9, mtime=0)))


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration made and measured.

    Attributes:
        bundle: the exported file with its certificate; `folder` is where it was written.
        float_size, int8_size: the float and the int8 `.tflite` file.
        parameters: weights of the model. test_clips: held-back clips behind the accuracies.
        training_seconds, total_seconds: wall time.
    """

    bundle: Bundle
    folder: Path
    float_size: StoredSize
    int8_size: StoredSize
    parameters: int
    test_clips: int
    training_seconds: float
    total_seconds: float


def run_demo(
    output: str | Path,
    *,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> DemoResult:
    """Train on the bundled clips, export with `microcontroller-int8`, verify, write the bundle.

    Takes about a minute on two cores, half of it training. TensorFlow is loaded in this process,
    and the random seeds are set. `on_progress` is called with (step, done, of).

    Raises OutputExistsError, before any work, if `output` exists and `force` is not set.
    """
    began = time.perf_counter()
    tell = on_progress or (lambda step, done, of: None)
    check_output(output, force=force)
    keywords = load_keywords()
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="tfgreen-demo-") as name:
        model = Path(name) / "keyword_spotter.keras"
        with ledger.stage("train"):
            parameters, training_seconds = _train(model, keywords, tell)
        bundle = make_bundle(
            model,
            keywords.x_train[:_CALIBRATION_CLIPS],
            load_profile(PROFILE),
            Samples(
                {"mfcc": keywords.x_test}, {"word": keywords.y_test}, label_names=keywords.labels
            ),
            ExportOptions(ledger=ledger),
            on_progress,
        )
        tell("float file, to compare sizes", 0, 0)
        float_content = float_file(model, Path(name), ConversionOptions())
    folder = bundle.save(output, force=force)
    return DemoResult(
        bundle=bundle,
        folder=folder,
        float_size=StoredSize.of(float_content),
        int8_size=StoredSize.of(bundle.content),
        parameters=parameters,
        test_clips=len(keywords.x_test),
        training_seconds=training_seconds,
        total_seconds=time.perf_counter() - began,
    )


def _train(path: Path, keywords: Keywords, tell: OnProgress) -> tuple[int, float]:
    """Train and save the model; its number of parameters, and the seconds that it took."""
    began = time.perf_counter()
    tell("training (loading TensorFlow)", 0, 0)
    model = train_keyword_spotter(
        keywords,
        on_epoch=lambda epoch, epochs, accuracy: tell(
            f"training, {share_text(accuracy)} of the training clips right", epoch, epochs
        ),
    )
    model.save(path)
    return int(model.count_params()), time.perf_counter() - began
