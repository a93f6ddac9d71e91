"""Several devices or machines, through TensorFlow's own `tf.distribute`."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import Any, get_args

from tfgreen.errors import UnknownNameError
from tfgreen.recipe.record import Strategy

STRATEGIES: tuple[str, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Devices:
    """What a stage is trained on.

    strategy: an object of `tf.distribute`; None for one device.
    """

    strategy: Any = None

    @property
    def replicas(self) -> int:
        """How many copies of the model are trained in step."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        resolver = getattr(self.strategy, "cluster_resolver", None)
        if resolver is None or not resolver.task_type:
            return True
        return bool(resolver.task_type == "chief") or (
            resolver.task_type == "worker" and resolver.task_id == 0
        )

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where models are made that all devices are to train."""
        scope: contextlib.AbstractContextManager[Any] = (
            contextlib.nullcontext() if self.strategy is None else self.strategy.scope()
        )
        return scope

    def distributed(self, data: Any) -> Any:
        """A dataset that workers split among them sample by sample, and not file by file."""
        import tensorflow as tf

        if self.strategy is None or not isinstance(data, tf.data.Dataset):
            return data
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return data.with_options(options)


@functools.cache
def devices_for(strategy: str | None) -> Devices:
    """The devices of a strategy's name.

    strategy: "mirrored", all GPUs of this machine, or all logical processors where there is no
        GPU; "multiworker", the machines that the variable TF_CONFIG names; None for one device.

    A process has one strategy of a name: TensorFlow's collective ops of a second one would be
    taken for those of the first.

    Raises:
        UnknownNameError: any other name.
    """
    if strategy is None:
        return Devices()
    if strategy not in STRATEGIES:
        raise UnknownNameError("strategy", strategy, STRATEGIES)
    import tensorflow as tf

    if strategy == "multiworker":
        return Devices(tf.distribute.MultiWorkerMirroredStrategy())
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return Devices(tf.distribute.MirroredStrategy([device.name for device in found]))
