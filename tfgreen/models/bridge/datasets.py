"""Training data of Keras 3's own kinds as tf_keras's fit takes them."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.models.keras2 import tf_keras


def data_twin(data: Any) -> Any:
    """A keras.utils.PyDataset as a tf_keras Sequence; anything else passes through."""
    return _Batches(data) if isinstance(data, keras.utils.PyDataset) else data


class _Batches(tf_keras().utils.Sequence):  # type: ignore[misc]
    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return int(self._dataset.num_batches or len(self._dataset))

    def __getitem__(self, index: int) -> Any:
        return self._dataset[index]

    def on_epoch_begin(self) -> None:
        getattr(self._dataset, "on_epoch_begin", lambda: None)()

    def on_epoch_end(self) -> None:
        self._dataset.on_epoch_end()
