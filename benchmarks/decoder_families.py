"""Which of KerasHub's families are exported as decoders: a table, made anew.

    python -m benchmarks.decoder_families [docs/language_models.md]

Models are small and random, since no weights can be downloaded everywhere. With a page, the table
there is replaced.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, CONTEXT = 64, 32
BEGIN, END = "<!-- families -->\n", "<!-- end of families -->"


def builders() -> dict[str, Callable[[], Any]]:
    from keras_hub import models as hub

    def gemma(**options: Any) -> Any:
        return hub.GemmaCausalLM(hub.GemmaBackbone(VOCABULARY, 2, 4, 2, 32, 128, 8, **options))

    def gemma3() -> Any:
        backbone = hub.Gemma3Backbone(
            VOCABULARY, 64, 7, 4, 1, 32, 64, 8, use_post_ffw_norm=True,
            use_post_attention_norm=True, use_sliding_window_attention=True, sliding_window_size=4,
        )  # fmt: skip
        return hub.Gemma3CausalLM(preprocessor=None, backbone=backbone)

    shape = (VOCABULARY, 2, 4, 32, 64)
    return {
        "GPT-2": lambda: hub.GPT2CausalLM(hub.GPT2Backbone(*shape, max_sequence_length=CONTEXT)),
        "Llama 3": lambda: hub.Llama3CausalLM(hub.Llama3Backbone(*shape, 2)),
        "Gemma": gemma,
        "Gemma 2": lambda: gemma(
            query_head_dim_normalize=False, use_post_ffw_norm=True, use_post_attention_norm=True,
            attention_logit_soft_cap=50, final_logit_soft_cap=30,
            use_sliding_window_attention=True, sliding_window_size=4,
        ),
        "Gemma 3": gemma3,
        "BERT": lambda: hub.BertTextClassifier(
            hub.BertBackbone(*shape, max_sequence_length=CONTEXT), 2
        ),
        "OPT": lambda: hub.OPTCausalLM(hub.OPTBackbone(*shape, max_sequence_length=CONTEXT)),
        "Bloom": lambda: hub.BloomCausalLM(hub.BloomBackbone(*shape)),
        "GPT-NeoX": lambda: hub.GPTNeoXCausalLM(hub.GPTNeoXBackbone(*shape)),
    }  # fmt: skip


def row(name: str, build: Callable[[], Any]) -> str:
    from tfgreen.errors import UnsupportedModelError
    from tfgreen.generative.export import make_decoder_bundle
    from tfgreen.generative.requests import DecoderOptions

    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 40 * CONTEXT)
    options = DecoderOptions("dynamic-int8", context=CONTEXT)
    try:
        bundle = make_decoder_bundle(build(), None, tokens, None, options)
    except UnsupportedModelError as error:
        reason = str(error).split("with a cache: ")[-1].split(". Those that can")[0]
        return f"| {name} | refused | {reason} |"
    same = bundle.facts["differing_greedy_tokens"] == 0
    change = bundle.certificate.perplexity.change
    note = "the float32 file writes Keras's greedy text" if same else "greedy text differs"
    return f"| {name} | exported | {note}; int8 changes perplexity by {change:+.2%} |"


def main() -> None:
    import keras

    keras.utils.set_random_seed(0)
    lines = ["| family | | |", "|---|---|---|", *(row(*one) for one in builders().items())]
    table = "\n".join(lines) + "\n"
    print(table)
    if len(sys.argv) > 1:
        page = Path(sys.argv[1])
        text = page.read_text(encoding="utf-8")
        text = re.sub(f"{BEGIN}.*{END}", lambda _: BEGIN + table + END, text, flags=re.DOTALL)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
