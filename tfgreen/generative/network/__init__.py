"""The Keras side of language models; importing it registers the layers with Keras.

>>> from tfgreen.generative.network import CausalSelfAttention
>>> CausalSelfAttention(heads=4, key_size=8).mask_value
-30.0
"""

from tfgreen.generative.network.attention import CausalSelfAttention
from tfgreen.generative.network.decoder import build_decoder
from tfgreen.generative.network.embedding import TokenEmbedding
from tfgreen.generative.network.encoder import EncoderSelfAttention, build_encoder

__all__ = [
    "CausalSelfAttention",
    "EncoderSelfAttention",
    "TokenEmbedding",
    "build_decoder",
    "build_encoder",
]
