"""Heads of attention and neurons of feed-forward layers removed for good: a smaller decoder.

Zeros among the weights make no file faster; matrices with fewer rows and columns do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.selection import Shares, assigned, check_selectors, placed_layers
from tfgreen.compression.technique import NO_WEIGHTS, LayerDecision, TechniqueReport
from tfgreen.errors import InvalidDataError, UsageError
from tfgreen.generative.session import refuse_tokens

if TYPE_CHECKING:
    from tfgreen.generative.network.stepping import DecoderFacts
    from tfgreen.generative.network.units import Units

_MULTIPLE = 8
_NOUNS = ("heads", "neurons")


@dataclass(frozen=True)
class SlicedDecoder:
    """What `slice_decoder` gives.

    model: the smaller decoder, compiled as the larger one is; fine-tune it with `fit`.
    kept: for each layer that was looked at, by its name, the heads or neurons that stayed, as they
        are counted in the larger decoder; those of a feed-forward layer by the layer that opens it.
    report: what was done to each layer; `str()` is a Markdown table.
    parameters_before, parameters_after: weights of the two decoders.
    """

    model: Any
    kept: Mapping[str, tuple[int, ...]]
    report: TechniqueReport
    parameters_before: int
    parameters_after: int


def slice_decoder(
    model: Any,
    windows: np.ndarray | Sequence[Sequence[int]],
    *,
    heads: float | Shares = 0.5,
    neurons: float | Shares = 0.5,
    multiple: int = _MULTIPLE,
) -> SlicedDecoder:
    """A smaller decoder without the heads and neurons that calibration text misses least.

    Importance is activation times gradient of the loss (Michel et al. 2019, arXiv 1905.10650;
    Molchanov et al. 2019, arXiv 1906.10771). Every matrix is really smaller, and so is the cache
    of keys and values: the exported file takes less memory and less time. Some quality goes with
    the parts; `fit` brings most of it back.

    With grouped queries, whole groups go where that gives the number asked for, else equally many
    heads of every group that stays. The feed-forward layers that are found are Dense layers whose
    outputs go through an activation, and with a gate through a product, into one Dense layer.

    Args:
        model: A functional or sequential decoder of `tfgreen.CausalSelfAttention` layers, as
            `tfgreen.build_decoder` makes it, or a causal language model of KerasHub, trained. It
            stays as it is.
        windows: Calibration text as tokens, integers (n, length + 1): the model reads all but
            the last of a row and is judged by all but the first. A few dozen rows of text like
            that of training are enough; each costs as much as a step of training.
        heads, neurons: The share of each layer that is removed, 0 to below 1, or shares by layer
            (a name, class or expression, as in `tfgreen.Pruning`); layers that are not in it stay
            as they are. At least one head, and `multiple` neurons, stay.
        multiple: The number of neurons that stay is rounded to a multiple of this: kernels work on
            several at a time, and 4-bit weights in blocks of 32 need a multiple of 32.

    Raises:
        UsageError: a share that is none, or a name that no layer has.
        UnsupportedModelError: no decoder, or one with LoRA weights that are not merged.
        InvalidDataError: windows that the decoder cannot read.

    >>> import numpy as np
    >>> from tfgreen.generative.network import build_decoder
    >>> decoder = build_decoder(50, 16, width=32, layers=1, heads=4)
    >>> text = np.arange(68).reshape(4, 17) % 50
    >>> sliced = slice_decoder(decoder, text, heads=0.5, neurons=0.75)
    >>> {name: len(kept) for name, kept in sliced.kept.items()}
    {'block_0_attention': 2, 'block_0_feed_open': 32}
    >>> sliced.model.output_shape
    (None, None, 50)
    """
    from tfgreen.generative.network.importance import importance
    from tfgreen.generative.network.kerashub import is_kerashub, taken_over
    from tfgreen.generative.network.stepping import decoder_facts
    from tfgreen.generative.network.units import units_of
    from tfgreen.models.adapters import refuse_adapters

    for name, share in (("heads", heads), ("neurons", neurons)):
        _check_shares(share, name)
    if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
        raise UsageError(f"multiple received {multiple!r}; expected a number from 1 on.")
    if is_kerashub(model):
        model = taken_over(model)
    tokens = _checked_windows(windows, decoder_facts(model), model)
    refuse_adapters(model)
    units = units_of(model)
    shares = _shares_of(units, {"heads": heads, "neurons": neurons})
    scores = importance(model, units, tokens)
    kept = [
        one.chosen(score, _wanted(one, share, multiple)) if share else np.arange(one.count)
        for one, score, share in zip(units, scores, shares, strict=True)
    ]
    smaller = _without_the_rest(model, units, kept)
    return SlicedDecoder(
        smaller,
        {one.placed.path: tuple(map(int, stay)) for one, stay in zip(units, kept, strict=True)},
        _report(model, smaller, units, kept),
        model.count_params(),
        smaller.count_params(),
    )


def _without_the_rest(model: Any, units: Sequence[Units], kept: Sequence[np.ndarray]) -> Any:
    from tfgreen.compression.copies import compile_alike
    from tfgreen.models.bridge.rebuilding import layer_again, rebuilt

    cuts: dict[int, list[tuple[int, np.ndarray]]] = {}
    changed: dict[int, dict[str, int]] = {}
    for one, stay in zip(units, kept, strict=True):
        for variable, axis, indices in one.cuts(stay):
            cuts.setdefault(id(variable), []).append((axis, indices))
        for layer, changes in one.changes(stay):
            changed[id(layer)] = changes

    def smaller_layer(layer: Any) -> Any:
        return layer_again(layer, **changed[id(layer)]) if id(layer) in changed else None

    smaller = rebuilt(model, smaller_layer)
    for source, target in zip(model.weights, smaller.weights, strict=True):
        values = source.numpy()
        for axis, indices in cuts.get(id(source), ()):
            values = np.take(values, indices, axis)
        target.assign(values)
    compile_alike(smaller, model, with_state=False)
    return smaller


def _wanted(units: Units, share: float, multiple: int) -> int:
    """How many units are to stay."""
    left = units.count * (1 - share)
    if units.noun == "heads":
        return max(1, round(left))
    return min(units.count, max(1, round(left / multiple)) * multiple)


def _shares_of(units: Sequence[Units], given: Mapping[str, float | Shares]) -> list[float]:
    """The share to remove for each; 0 where nothing is asked for."""
    found: dict[str, float] = {}
    for noun in _NOUNS:
        placed = [one.placed for one in units if one.noun == noun]
        share = given[noun]
        if isinstance(share, Mapping):
            found |= {path: value for path, (value, _) in assigned(share, placed).items()}
        else:
            found |= {one.path: share for one in placed}
    return [found.get(one.placed.path, 0.0) for one in units]


def _check_shares(given: Any, name: str) -> None:
    if isinstance(given, Mapping):
        check_selectors(given, name)
    for value in given.values() if isinstance(given, Mapping) else (given,):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < 1:
            raise UsageError(
                f"{name} received {value!r}; expected the share that is removed, from 0 to below "
                "1, or a dict of such shares by layer."
            )


def _checked_windows(windows: Any, facts: DecoderFacts, model: Any) -> np.ndarray:
    try:
        tokens = np.asarray(windows)
    except ValueError:  # rows of different lengths
        tokens = np.empty(0, object)
    fixed, longest = model.input_shape[1], facts.context
    if tokens.dtype.kind not in "iu" or tokens.ndim != len(("n", "length")) or not len(tokens):
        raise InvalidDataError(
            f"The calibration windows are {tokens.dtype} of shape {tokens.shape}; expected "
            "integers (n, length + 1), each row a piece of text as tokens."
        )
    least, most = (fixed, fixed) if fixed else (1, longest or tokens.shape[1])
    if not least <= tokens.shape[1] - 1 <= most:
        raise InvalidDataError(
            f"The calibration windows have {tokens.shape[1]} tokens each; expected {least + 1} to "
            f"{most + 1}: what the decoder reads, and the token that follows."
        )
    refuse_tokens(tokens, facts.vocabulary)
    return tokens.astype(np.int32)


def _report(
    model: Any, smaller: Any, units: Sequence[Units], kept: Sequence[np.ndarray]
) -> TechniqueReport:
    before, after = model.count_params(), smaller.count_params()
    notes = (
        f"{after:,} of {before:,} parameters are left ({after / before:.3g}).",
        "Fine-tune it before it is exported: the parts that are left have to make up for those "
        "that went.",
    )
    return TechniqueReport("slicing", tuple(_decisions(model, units, kept)), notes)


def _decisions(
    model: Any, units: Sequence[Units], kept: Sequence[np.ndarray]
) -> Iterator[LayerDecision]:
    known = {one.placed.path: (one, stay) for one, stay in zip(units, kept, strict=True)}
    closing = {id(one.closing) for one in units}
    for placed in placed_layers(model):
        if placed.path in known:
            one, stay = known[placed.path]
            measures = {f"{one.noun}_before": float(one.count), one.noun: float(len(stay))}
            is_smaller = len(stay) < one.count
            yield LayerDecision(
                placed.path, placed.kind, "sliced" if is_smaller else "skipped",
                "" if is_smaller else "nothing is to be removed", measures,
            )  # fmt: skip
        elif id(placed.layer) in closing:
            yield LayerDecision(placed.path, placed.kind, "sliced", "takes the neurons that stay")
        else:
            reason = "no heads or neurons of its own" if placed.layer.weights else NO_WEIGHTS
            yield LayerDecision(placed.path, placed.kind, "skipped", reason)
