"""`python -m tests.pipeline.two_devices FOLDER`: every technique on two logical processors.

A process of its own: devices are split before TensorFlow uses them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tensorflow as tf

import tfgreen as tg
import tfgreen.pipeline.run
from tests.pipeline.small import made_up_bundle, small_data, small_model

RECIPE = tg.Recipe(
    [
        tg.Stage([tg.Pruning(sparsity=0.5), tg.Distillation(teacher="large")], batch_size=16),
        tg.Stage([tg.Clustering(clusters=4, preserve_sparsity=True)]),
        tg.Stage([tg.QuantizationAwareTraining(preserve_sparsity=True)], batch_size=16),
    ]
)


def main(folder: Path) -> None:
    """Write how one device and two came out."""
    (processor,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, halves)
    tfgreen.pipeline.run.make_bundle = made_up_bundle
    model, teachers = small_model(is_plain=True), {"large": small_model(seed=2)}
    outcomes = {}
    for name, strategy in (("one", None), ("two", "mirrored")):
        result = tg.compress(
            model, RECIPE, small_data(), teachers=teachers, cache=folder / name,
            strategy=strategy, validation_data=small_data(30, seed=1),
        )  # fmt: skip
        stages = result.record.stages
        outcomes[name] = {
            "strategy": result.record.strategy,
            "steps": [entry.reused for entry in result.steps],
            "hashes": [stage.model_sha256 for stage in stages],
            "losses": [stage.history["val_loss"][-1] for stage in stages],
            "notes": [note for stage in stages for note in stage.notes],
        }
    (folder / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
