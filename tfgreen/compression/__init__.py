"""Compression in training: pruning, clustering, quantization-aware training and distillation.

`technique` has the lifecycle that all of them share; each technique is a package of its own.
"""
