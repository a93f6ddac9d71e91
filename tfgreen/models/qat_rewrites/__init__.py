"""Changes to a tf_keras model that leave its outputs equal and let every layer be trained to round.

Rounding in training is right only where the file rounds: once behind each op that the converter
makes. Here layers that become several ops are taken apart, and what the converter folds into a
neighbour is folded before.
"""

from tfgreen.models.qat_rewrites.rewriting import Rewritten, rewrite

__all__ = ["Rewritten", "rewrite"]
