"""Clustering in training: the weights of a kernel share a few values, which learn on.

    clustering = tg.Clustering(clusters=16)
    wrapped = clustering.prepare(model)
    wrapped.fit(x, y, epochs=3)
    clustered = clustering.finalize(wrapped)

The centroids are those of TensorFlow Model Optimization's `cluster_weights` (Han, Mao and Dally,
"Deep Compression", 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfgreen.compression.clustering.plan import INITS, Init, check_clusters
from tfgreen.compression.clustering.report import report_of
from tfgreen.compression.clustering.wrapping import unwrapped, wrapped_copy
from tfgreen.compression.plain_options import as_tuple, make_plain
from tfgreen.compression.selection import Selector, check_selectors
from tfgreen.compression.technique import (
    TakenOver,
    TechniqueReport,
    attach_state,
    hand_on_state,
    state_of,
)
from tfgreen.errors import UnknownNameError, UsageError


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """Cluster a trained model while it is trained a little longer.

    Args:
        clusters: how many different values each kernel may have, zero included; or numbers by
            layer: {"conv_1": 32, keras.layers.Dense: 16}; layers that are not in it stay as they
            are. A name goes before a class, a class before an expression.
        init: where the centroids begin: "linear", evenly between the kernel's smallest and
            largest weight; "kmeans++", at weights far from each other; "density", evenly over
            the weights' distribution; "random", anywhere between smallest and largest.
        preserve_sparsity: keep zeros zero: one centroid stays at zero, and what it has at the
            start it keeps. For models that were pruned.
        layers: the layers to cluster, by name, class or expression; all that can be, by default.
        skip: layers to leave alone, named likewise.

    Biases, normalization and depthwise kernels are exempt, as in TensorFlow Model Optimization.

    Raises:
        UsageError: an option or a combination that makes no sense.

    >>> Clustering(clusters=1)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: clusters received 1; expected a whole number from 2 on.
    """

    clusters: int | Mapping[Any, int] = 16
    init: Init = "kmeans++"
    preserve_sparsity: bool = False
    layers: tuple[Selector, ...] | None = None
    skip: tuple[Selector, ...] = ()

    def __post_init__(self) -> None:
        make_plain(self)
        object.__setattr__(self, "skip", as_tuple(self.skip))
        if self.layers is not None:
            object.__setattr__(self, "layers", as_tuple(self.layers))
        self._check()

    def _check(self) -> None:
        check_clusters(self.clusters, self.preserve_sparsity)
        if self.init not in INITS:
            raise UnknownNameError("init", str(self.init), INITS)
        check_selectors(self.skip, "skip")
        if self.layers is None:
            return
        check_selectors(self.layers, "layers")
        if not self.layers or isinstance(self.clusters, Mapping):
            received = "no layer at all" if not self.layers else "clusters by layer as well"
            raise UsageError(
                f"Clustering received layers with {received}; expected layers and one number of "
                "clusters, or numbers by layer alone."
            )

    def prepare(self, model: Any, calibration: Any | None = None) -> Any:
        """A tf_keras copy of the model whose weights are clustered, from now on and in `fit`.

        Args:
            model: a built Keras 3 or tf_keras model, Sequential or functional. It stays as it is.
            calibration: not used.

        Raises:
            UsageError: a name that no layer has, or a layer that cannot be clustered.
            UnsupportedModelError: subclassed or unbuilt models, or nothing to cluster.
        """
        from tfgreen.models.bridge import adapt_fit

        wrapped, state = wrapped_copy(self, model)
        attach_state(wrapped, self, state)
        adapt_fit(wrapped)
        return wrapped

    def callbacks(self) -> list[Any]:
        """None are needed: the weights are clustered whenever the model is called."""
        return []

    def finalize(self, wrapped: Any) -> Any:
        """The clustered model without wrappers, of the Keras that `prepare` was given.

        No kernel that was clustered has more different values than asked for. A model that was
        not trained is clustered too, by the values that the centroids began with.

        Raises:
            UsageError: this technique did not prepare the model.
        """
        state = state_of(wrapped, self)
        if isinstance(state, TakenOver):
            return wrapped
        model = unwrapped(wrapped, state)
        hand_on_state(wrapped, model, but=self)
        return model

    def report(self, wrapped: Any) -> TechniqueReport:
        """Clusters, sparsity and reason for every layer, as the wrapped model is now.

        Raises:
            UsageError: this technique did not prepare the model.
        """
        state = state_of(wrapped, self)
        return state.report if isinstance(state, TakenOver) else report_of(state)
