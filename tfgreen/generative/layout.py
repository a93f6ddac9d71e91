"""Names in an exported decoder: signatures, inputs, outputs, as LiteRT-LM spells them.

>>> prefill(32), cache_name("k", 0)
('prefill_32', 'kv_cache_k_0')
"""

from __future__ import annotations

PREFILL, DECODE, SCORE = "prefill_", "decode", "score"
TOKENS, POSITIONS, LOGITS, FILLED = "tokens", "input_pos", "logits", "filled"
CACHE = "kv_cache_"


def prefill(length: int) -> str:
    """The signature that writes `length` tokens into the cache."""
    return f"{PREFILL}{length}"


def cache_name(part: str, layer: int) -> str:
    """Keys ("k") or values ("v") of an attention layer, counted from 0."""
    return f"{CACHE}{part}_{layer}"
