"""Training data of Keras 3's own kinds as tf_keras's fit takes them."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.errors import UsageError
from tfgreen.models.keras2 import tf_keras


def data_twin(data: Any) -> Any:
    """A keras.utils.PyDataset as a tf_keras Sequence; anything else passes through.

    Raises UsageError for one of unknown length.
    """
    if not isinstance(data, keras.utils.PyDataset):
        return data
    if not hasattr(data, "__len__") and data.num_batches is None:
        raise UsageError(
            f"The {type(data).__name__} does not know how many batches it has, which tf_keras asks "
            "for before training. Give it a __len__ or num_batches."
        )
    return _Batches(data)


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
