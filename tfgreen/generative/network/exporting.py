"""From a decoder in Keras to the float file with its signatures, and what the model answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from tfgreen.errors import ConversionError
from tfgreen.generative.decoding import greedy, other_choices
from tfgreen.generative.judging import prompts_of
from tfgreen.generative.layout import DECODE, SCORE, prefill
from tfgreen.generative.network.signatures import save_signatures
from tfgreen.generative.network.stepping import DecoderFacts, refuse_looking_ahead
from tfgreen.generative.perplexity import token_losses
from tfgreen.generative.schemes import prepared
from tfgreen.generative.session import Session
from tfgreen.tflite.select_ops import missed_ops, refuse_select_ops

_TOLERANCE = 1e-3
_MOST_GRAPH_BYTES = 2**31
_BYTES = 4


@dataclass(frozen=True)
class ModelAnswers:
    """What the Keras model says about evaluation windows.

    losses: (n, context). greedy: (runs, context), what the float file wrote with its cache.
    differing_greedy_tokens: where Keras would have written another token. error: largest
    difference of the float file's scores from the model's over the model's largest score.
    """

    losses: np.ndarray
    greedy: np.ndarray
    differing_greedy_tokens: int
    error: float


def float_file(model: Any, facts: DecoderFacts, request: Mapping[str, Any], folder: Path) -> bytes:
    """Convert; the request has context, prefill_lengths, keeps_state and model_name."""
    lengths, keeps_state = request["prefill_lengths"], request["keeps_state"]
    graph_bytes = model.count_params() * _BYTES * (len(lengths) + 2)
    if graph_bytes > _MOST_GRAPH_BYTES:
        raise ConversionError(
            f"{request['model_name']} has {model.count_params():,} parameters; with "
            f"{len(lengths)} prefill lengths its graph takes {graph_bytes:,} bytes and TensorFlow "
            "writes graphs of up to 2 GB. Ask for fewer prefill lengths."
        )
    save_signatures(model, facts, request["context"], lengths, folder, keeps_state=keeps_state)
    keys = [SCORE, DECODE, *map(prefill, lengths)]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=keys)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.experimental_enable_resource_variables = keeps_state
    try:
        return prepared(converter.convert())
    except ConverterError as error:
        refuse_select_ops(missed_ops(str(error)), request["model_name"])
        raise


def model_answers(model: Any, content: bytes, windows: np.ndarray) -> ModelAnswers:
    """Ask the model, and refuse a float file that computes something else.

    Raises ConversionError then, and UnsupportedModelError for a model that looks ahead on text.
    """
    refuse_looking_ahead(model, windows[:4, :-1], int(model.output_shape[-1]))
    score = tf.function(lambda tokens: model(tokens, training=False))
    session = Session(content)
    losses, error, largest = [], 0.0, 0.0
    for number, window in enumerate(windows):
        scores = np.asarray(score(window[None, :-1]))[0]
        losses.append(token_losses(scores, window[1:]))
        if number < 4:
            error = max(error, float(np.abs(session.score(window[:-1]) - scores).max()))
            largest = max(largest, float(np.abs(scores).max()))
    if not error <= _TOLERANCE * largest:
        raise ConversionError(
            f"The float file that the converter made of '{model.name}' scores a window by up to "
            f"{error:.3g} otherwise than the model (largest score {largest:.3g}). Look for a layer "
            "that mixes positions besides CausalSelfAttention, or is random at inference."
        )
    runs = [greedy(session, prompt) for prompt in prompts_of(windows)]
    others = [other_choices(run, np.asarray(score(run.tokens[None]))[0]) for run in runs]
    return ModelAnswers(
        np.stack(losses),
        np.stack([run.tokens for run in runs]),
        sum(len(one) for one in others),
        error / largest,
    )
