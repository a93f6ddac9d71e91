"""The example of docs/npus.md runs, and its table of rules is the data file's."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.targets import npu_files
from tfgreen.targets.coral.table import edgetpu_table
from tfgreen.targets.ethos_u import Compiled

PAGE = (ROOT / "docs" / "npus.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"content": npu_files.conv_and_gather()}
    exec(block, names)
    compiled = names["compiled"]
    assert isinstance(compiled, Compiled)
    printed = capsys.readouterr().out
    assert ("['pick']" in printed) == (compiled.status == "compiled")


def test_every_limited_op_is_in_the_table_of_rules() -> None:
    rules = PAGE[PAGE.index("The rules:") :]
    for op, row in edgetpu_table().rows.items():
        assert bool(re.search(rf"\b{op}\b", rules)) == bool(row.rules), op
