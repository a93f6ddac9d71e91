"""Decoder language models: built or taken over, exported with a cache, certified, and run.

`network` holds what imports Keras; everything else runs where only LiteRT is installed. What
removes parts of a decoder belongs beside `network`, since it changes models, not files.
"""
