"""Compression in training: pruning, clustering and quantization-aware training.

`technique` has the lifecycle that all of them share; each technique is a file of its own.
"""
