"""`python -m tests.pipeline.worker_of_two FOLDER`: one of two workers, as TF_CONFIG tells."""

from __future__ import annotations

import sys
from pathlib import Path

import tfgreen as tg
import tfgreen.pipeline.run
from tests.pipeline.small import made_up_bundle, small_data, small_model
from tfgreen.pipeline import compress_to
from tfgreen.pipeline.strategies import devices_for

RECIPE = tg.Recipe(
    [
        tg.Stage([tg.Pruning(sparsity=0.5)], epochs=2, batch_size=16),
        tg.Stage([tg.QuantizationAwareTraining(preserve_sparsity=True)], epochs=2, batch_size=16),
    ]
)


def main(folder: Path) -> None:
    """Compress together with the other worker; the chief writes the output."""
    tfgreen.pipeline.run.make_bundle = made_up_bundle
    devices_for("multiworker")  # before anything else uses TensorFlow
    result = compress_to(
        folder / "out", small_model(), RECIPE, small_data(), cache=folder / "cache",
        strategy="multiworker",
    )  # fmt: skip
    print(*[stage.model_sha256 for stage in result.record.stages])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
