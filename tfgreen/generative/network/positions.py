"""Where the tokens of one call stand in their sequence, and what earlier calls left in the cache.

A decoder is called in two ways: on a whole window, where every position is computed, and step by
step, where keys and values of earlier positions come from a cache. The layers that look at
positions are the same in both: they ask a `Window` or a `CachedWindow` for masks, rotations and
keys, and each of those is computed once for all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

Cache = tuple[Any, Any]
"""Keys and values of one layer, each (1, kv heads, cache length, key size) float32."""


class Window:
    """Tokens whose predecessors are all in the same call.

    positions: int32 tensor (n,), the place of each token in its sequence.
    """

    def __init__(self, positions: Any) -> None:
        self.positions = positions
        self._made: dict[Any, Any] = {}

    @property
    def key_positions(self) -> Any:
        """The places of what is attended to, int32 (m,)."""
        return self.positions

    def extended(self, layer: Any, keys: Any, values: Any) -> Cache:
        """All keys and values that the layer attends to, given those of this call's tokens."""
        return keys, values

    def visible(self, reach: int | None) -> Any:
        """Where attention may look: float32 (n, m), 1 there and 0 elsewhere."""
        return self._once(("visible", reach), lambda: self._visible(reach))

    def masked_scores(self, mask_value: float, reach: int | None) -> Any:
        """What scores become where attention may not look: `mask_value` there, 0 elsewhere."""
        key = ("masked", mask_value, reach)
        return self._once(key, lambda: (1.0 - self.visible(reach)) * mask_value)

    def rotation(self, frequencies: Sequence[float]) -> tuple[Any, Any]:
        """Cosine and sine of every angle, each (n, len(frequencies))."""
        key = ("rotation", tuple(frequencies))
        return self._once(key, lambda: self._rotation(frequencies))  # type: ignore[no-any-return]

    def _visible(self, reach: int | None) -> Any:
        distance = self.positions[:, None] - self.key_positions[None, :]
        visible = distance >= 0
        if reach is not None:
            visible = ops.logical_and(visible, distance < reach)
        return ops.cast(visible, "float32")

    def _rotation(self, frequencies: Sequence[float]) -> tuple[Any, Any]:
        places = ops.cast(self.positions, "float32")[:, None]
        angles = places * ops.convert_to_tensor(list(frequencies), "float32")[None, :]
        return ops.cos(angles), ops.sin(angles)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


class WholeWindow(Window):
    """Tokens that all see each other, but for padding, as in an encoder.

    is_token: float32 (batch, n), 1 for tokens and 0 for padding; None: there is no padding.
    """

    def __init__(self, positions: Any, is_token: Any = None) -> None:
        super().__init__(positions)
        self.is_token = is_token

    def visible(self, reach: int | None) -> Any:
        """Which positions are attended to, whoever looks: float32 (batch, 1, 1, n), or None."""
        return None if self.is_token is None else self.is_token[:, None, None, :]


class CachedWindow(Window):
    """Tokens whose predecessors' keys and values lie in caches.

    caches: by the name of the attention layer; the new ones replace the old ones there. Tokens
        are written at `positions[0]` and after it; a cache has to be long enough for them.
    """

    def __init__(self, positions: Any, caches: dict[str, Cache]) -> None:
        super().__init__(positions)
        self.caches = caches

    @property
    def key_positions(self) -> Any:
        """Every place of the cache; those not yet written lie in the future, and are masked."""
        keys, _ = next(iter(self.caches.values()))
        return ops.arange(keys.shape[2], dtype="int32")

    def extended(self, layer: Any, keys: Any, values: Any) -> Cache:
        """Write this call's keys and values into the layer's cache, and return all of it."""
        start = ops.stack([0, 0, self.positions[0], 0])
        written = tuple(
            ops.slice_update(cache, start, new)
            for cache, new in zip(self.caches[layer.name], (keys, values), strict=True)
        )
        self.caches[layer.name] = (written[0], written[1])
        return self.caches[layer.name]
