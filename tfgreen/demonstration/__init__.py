"""A keyword spotter trained, exported and proven from bundled data: what `tfgreen demo` runs.

>>> from tfgreen.demonstration import load_keywords
>>> len(load_keywords().labels)
12
"""

from tfgreen.demonstration.demo import DemoResult, run_demo
from tfgreen.demonstration.keywords import Keywords, load_keywords
from tfgreen.demonstration.screen import demo_screen

__all__ = [
    "DemoResult",
    "Keywords",
    "demo_screen",
    "load_keywords",
    "run_demo",
]
