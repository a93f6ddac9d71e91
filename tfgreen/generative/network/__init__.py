"""The Keras side of decoder models; importing it registers the layers with Keras.

>>> from tfgreen.generative.network import CausalSelfAttention
>>> CausalSelfAttention(heads=4, key_size=8).mask_value
-30.0
"""

from tfgreen.generative.network.attention import CausalSelfAttention
from tfgreen.generative.network.decoder import build_decoder
from tfgreen.generative.network.embedding import TokenEmbedding

__all__ = ["CausalSelfAttention", "TokenEmbedding", "build_decoder"]
