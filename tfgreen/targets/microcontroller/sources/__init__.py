"""C and C++ sources of one file: the model, its resolver, inference, and the golden test.

One folder serves as a plain folder, an Arduino library, an ESP-IDF component and a PlatformIO
library, so that the model's bytes lie there once.
"""

from tfgreen.targets.microcontroller.sources.names import c_identifier
from tfgreen.targets.microcontroller.sources.rendering import render_sources

__all__ = ["c_identifier", "render_sources"]
