"""What each encoding makes of a pruned and a clustered keyword spotter, as a Markdown table.

    python -m benchmarks.encoding_table

Trains the demonstration's DS-CNN (12 epochs), prunes it to 80 % (6 epochs) and clusters it to 16
values a kernel (3 epochs), from one seed, and exports each for three profiles. Some minutes on
two cores; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tfgreen as tg
from tfgreen.demonstration.keyword_spotter import train_keyword_spotter
from tfgreen.demonstration.keywords import Keywords, load_keywords
from tfgreen.wording import share_text

PROFILES = ("mobile-int8", "mobile-float16", "microcontroller-int8")
CALIBRATION_SAMPLES = 200
_HEAD = "| model | profile | encoding | bytes | gzip bytes | arena bytes | shipped | accuracy |"


def main() -> None:
    """Print the table."""
    keywords = load_keywords()
    print(_HEAD)
    print("| --- " * _HEAD.count(" | ") + "| --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in _models(keywords, Path(folder)):
            for profile in PROFILES:
                for row in _rows(path, keywords, profile):
                    print("| " + " | ".join([name, profile, *row]) + " |", flush=True)


def _models(keywords: Keywords, folder: Path) -> Iterator[tuple[str, Path]]:
    model = train_keyword_spotter(keywords, epochs=12)
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss)
    techniques: dict[str, tuple[Any, int]] = {
        "pruned": (tg.Pruning(sparsity=0.8), 6),
        "clustered": (tg.Clustering(clusters=16), 3),
    }
    for name, (technique, epochs) in techniques.items():
        wrapped = technique.prepare(model)
        wrapped.fit(keywords.x_train, keywords.y_train, epochs=epochs, batch_size=32, verbose=0)
        path = folder / f"{name}.keras"
        technique.finalize(wrapped).save(path)
        yield name, path


def _rows(path: Path, keywords: Keywords, profile: str) -> Iterator[list[str]]:
    with contextlib.redirect_stdout(io.StringIO()):  # the verdict, which the table sums up
        bundle = tg.export(
            path,
            keywords.x_train[:CALIBRATION_SAMPLES],
            profile=profile,
            evaluate=(keywords.x_test, keywords.y_test),
            on_progress=lambda step, done, of: None,
        )
    (metric,) = bundle.certificate.metrics
    accuracy = next(iter(metric.kernel_sets.values()))
    for file in bundle.facts["encoding"]["files"]:
        numbers = [file["size_bytes"], file["gzip_bytes"], file["arena_bytes"]]
        methods = ", ".join(f"{count} {name}" for name, count in file["methods"].items())
        yield [
            file["encoding"] + (f" ({methods})" if methods else ""),
            *("–" if number is None else f"{number:,}" for number in numbers),
            "yes" if file["chosen"] else "no",
            share_text(accuracy) if file["chosen"] else "",
        ]


if __name__ == "__main__":
    main()
