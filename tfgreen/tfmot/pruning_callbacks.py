"""`UpdatePruningStep` and `PruningSummaries` for the fit of either Keras."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfgreen.models.keras2 import is_model, model_optimization
from tfgreen.tfmot.pruned_layer import pruned_layers


class UpdatePruningStep(keras.callbacks.Callback):  # type: ignore[misc]
    """Mask the weights at the end of every epoch, so that a model saved then is sparse.

    The layers of Keras 3 count the steps themselves; those of tf_keras need this callback for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._original = model_optimization().sparsity.keras.UpdatePruningStep()

    def set_model(self, model: Any) -> None:
        """Take the model in training."""
        super().set_model(model)
        self._original.set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the count of steps of a tf_keras model that was never trained."""
        if is_model(self.model):
            self._original.on_train_begin(logs)

    def on_epoch_end(self, batch: int, logs: Any = None) -> None:
        """Zero what the masks have taken out; the last update of the weights came after them."""
        if is_model(self.model):
            self._original.on_epoch_end(batch, logs)
        else:
            for layer in pruned_layers(self.model):
                layer.mask_weights()


# Without TensorBoard, TensorFlow can write the sparsities, but not what else Keras would log.
_Logs = (
    keras.callbacks.TensorBoard
    if importlib.util.find_spec("tensorboard")
    else keras.callbacks.Callback
)


class PruningSummaries(_Logs):  # type: ignore[misc, valid-type]
    """Log the sparsity and the threshold of every mask, in the folder `metrics` of `log_dir`.

    Where TensorBoard is installed, this is Keras's callback of that name as well, and takes its
    arguments.
    """

    def __init__(self, log_dir: str, update_freq: str | int = "epoch", **kwargs: Any) -> None:
        if not isinstance(log_dir, str) or not log_dir:
            raise ValueError(f"log_dir received {log_dir!r}; expected the path of a folder.")
        if _Logs is keras.callbacks.Callback:
            super().__init__()
            self.log_dir = log_dir
        else:
            super().__init__(log_dir=log_dir, update_freq=update_freq, **kwargs)
        self._sparsity_writer: Any | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Write sparsity and threshold as they are before the epoch."""
        import tensorflow as tf

        if logs is not None:
            super().on_epoch_begin(epoch, logs)
        if self._sparsity_writer is None:
            self._sparsity_writer = tf.summary.create_file_writer(
                str(Path(self.log_dir, "metrics"))
            )
        step = int(np.asarray(self.model.optimizer.iterations))
        with self._sparsity_writer.as_default(step):
            for name, (_, mask, threshold) in self._variables():
                _write_scalar(f"{name}/sparsity", 1 - float(np.mean(np.asarray(mask))))
                _write_scalar(f"{name}/threshold", float(np.asarray(threshold)))
        self._sparsity_writer.flush()

    def _variables(self) -> list[tuple[str, Any]]:
        layers = self.model.layers if is_model(self.model) else pruned_layers(self.model)
        return [
            (f"{layer.name}/mask_{number}", row)
            for layer in layers
            for number, row in enumerate(getattr(layer, "pruning_vars", ()))
        ]


def _write_scalar(tag: str, value: float) -> None:
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1
    )
    tf.summary.write(tag, value, metadata=metadata)
