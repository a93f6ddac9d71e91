"""Smaller files of pruned and clustered models: sparse weights, tables, short codes.

`choose_encoding` makes the packed files that a profile's runtime loads, runs them beside the
dense one, and takes the smallest that answers bit for bit the same. `plain` goes the way back.
"""

from tfgreen.encodings.choice import WANTED, check_wanted, choose_encoding
from tfgreen.encodings.report import Choice, EncodedFile
from tfgreen.encodings.rewriting import DECODE, DENSIFY, is_packed, plain

__all__ = [
    "DECODE",
    "DENSIFY",
    "WANTED",
    "Choice",
    "EncodedFile",
    "check_wanted",
    "choose_encoding",
    "is_packed",
    "plain",
]
