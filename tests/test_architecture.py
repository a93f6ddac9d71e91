"""The import directions and naming rules of docs/architecture.md, parsed from the source."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tfgreen

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tfgreen"

# Each room may import from the rows above its own and from itself, never sideways or downwards.
LEVELS = (
    {"errors"},
    {
        "signature",
        "profile",
        "flatbuffer",
        "golden",
        "records",
        "stack",
        "source_text",
        "user_code",
        "wording",
        "writing",
    },
    {
        "models",
        "data",
        "reference",
        "footprint",
        "manifest",
        "preprocess",
        "doctor",
        "drawing",
        "intervals",
    },
    {"training"},
    {"runtimes", "compression"},
    {"tflite", "encodings"},
    {"verification"},
    {"targets", "benchmarking"},
    {"generative"},
    {"inspection", "given_samples", "recipe"},
    {"reporting"},
    {"bundle"},
    {"pipeline", "tfmot"},
    {"recheck", "demonstration", "accounting"},
    {"examination", "mending", "comparison", "endurance"},
    {"cli"},
    {"__main__"},
)

PUBLIC_NAMES = {
    "Benchmark",
    "Budget",
    "Bundle",
    "ByteTokenizer",
    "CausalSelfAttention",
    "Certificate",
    "CharacterTokenizer",
    "Clustering",
    "Comparison",
    "Compression",
    "DecoderBundle",
    "Device",
    "Diagnosis",
    "Distillation",
    "Distiller",
    "EncoderSelfAttention",
    "ExportProfile",
    "FitResult",
    "FootprintReport",
    "Ledger",
    "Meter",
    "MeterCallback",
    "MovingAverage",
    "Pruning",
    "QuantizationAwareTraining",
    "Recipe",
    "Robustness",
    "SlicedDecoder",
    "Stage",
    "TeacherCache",
    "benchmark",
    "bit_sensitivity",
    "build_decoder",
    "build_encoder",
    "compare",
    "compress",
    "diagnose",
    "export",
    "export_decoder",
    "fit",
    "fold_batch_normalization",
    "generate",
    "inspect",
    "list_profiles",
    "list_recipes",
    "load_model",
    "load_profile",
    "load_recipe",
    "merge_lora",
    "prune",
    "prune_iteratively",
    "pruning_report",
    "register_twin",
    "repair",
    "report",
    "robustness",
    "sensitivity_scan",
    "slice_decoder",
    "verify",
    "with_lora",
}

KERAS_2 = {"tf_keras", "tensorflow_model_optimization"}
MEANINGLESS = {"utils", "util", "helpers", "common", "core", "base", "misc"}
LONGEST_BODY_LINES = 60
LONGEST_FILE_LINES = 400


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs, function bodies included, `if TYPE_CHECKING` blocks not."""
    for node in ast.iter_child_nodes(tree):
        if is_for_type_checkers(node):
            continue
        yield node
        yield from running_nodes(node)


def imported(path: Path) -> Iterator[str]:
    for node in running_nodes(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def level_of(room: str) -> int:
    for level, rooms in enumerate(LEVELS):
        if room in rooms:
            return level
    raise AssertionError(f"The room tfgreen/{room} has no level: give it one in LEVELS.")


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(dotted(path))
    if not room:
        return
    for target in imported(path):
        if target.split(".")[0] != "tfgreen" or room_of(target) in ("", room, "__version__"):
            continue
        assert level_of(room_of(target)) < level_of(room), (
            f"{dotted(path)} imports {target}, which does not lie below {room}"
        )


def test_only_keras2_imports_keras_2() -> None:
    importers = {
        dotted(path)
        for path in modules()
        if KERAS_2 & {target.split(".")[0] for target in imported(path)}
    }
    assert importers <= {"tfgreen.models.keras2"}


def test_public_names() -> None:
    errors = {name for name in tfgreen.__all__ if name.endswith("Error")}
    assert set(tfgreen.__all__) - errors - {"__version__"} == PUBLIC_NAMES
    assert set(tfgreen.__all__) <= set(dir(tfgreen))
    for name in tfgreen.__all__:
        assert getattr(tfgreen, name) is not None


def test_errors_are_public() -> None:
    from tfgreen import errors

    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.TfgreenError)
    }
    assert defined <= set(tfgreen.__all__)


def test_no_public_name_is_a_module() -> None:
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert not names & set(tfgreen.__all__)


def test_every_package_is_in_the_wheel() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    packages = {dotted(path) for path in PACKAGE.rglob("__init__.py")}
    assert listed == packages | {"tfgreen._export_profiles"}


def test_the_stack_is_what_setup_cfg_requires() -> None:
    from tfgreen.stack import OPTIONAL, REQUIRED

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    lines = [line for line in config["options"]["install_requires"].splitlines() if line]
    names = [re.split(r"[^\w-]", line)[0] for line in lines]
    assert tuple(name for name in names if name != "setuptools") == REQUIRED
    for package, extra in OPTIONAL.items():
        assert f"\n{package}" in extras[extra].replace(" ", "")


def test_nothing_but_the_worker_side_loads_tensorflow() -> None:
    """Import every module that TensorFlow is not allowed in, in one fresh process."""
    heavy = modules_that_load_tensorflow()
    outside = {name for name in heavy if not f"{name}.".startswith(HEAVY_ROOMS)}
    assert not outside
    light = [dotted(path) for path in modules() if dotted(path) not in heavy]
    script = (
        "import importlib, sys\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
        "    assert not heavy, f'{name} loads {heavy}'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


HEAVY_ROOMS = (
    "tfgreen.models.",
    "tfgreen.tflite.",
    "tfgreen.tfmot.",
    "tfgreen.generative.network.",
)
HEAVY = frozenset({"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"})


def modules_that_load_tensorflow() -> set[str]:
    """Those that import it at their top, and those that import one of them there."""
    imports = {dotted(path): imported_at_top(path) for path in modules()}
    heavy = {
        name for name, found in imports.items() if {one.split(".")[0] for one in found} & HEAVY
    }
    while more := {name for name, found in imports.items() if found & heavy} - heavy:
        heavy |= more
    return heavy


def imported_at_top(path: Path) -> set[str]:
    found: set[str] = set()
    for node in parsed(path).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_import_tfgreen_is_light() -> None:
    script = (
        "import sys, tfgreen\n"
        "heavy = {'numpy', 'pydantic', 'rich', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)


def test_names_say_something() -> None:
    stems = {part for path in modules() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not stems & MEANINGLESS


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_and_files_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}: {body_lines(function)} lines"
        for path in modules()
        for function in functions(path)
        if body_lines(function) > LONGEST_BODY_LINES
    ]
    for path in modules():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE_LINES:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert not long


def test_tests_mirror_the_package() -> None:
    """A room's tests lie in the folder of its name: tests/<room>/test_<module>.py."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.relative_to(ROOT / "tests").parent
        assert folder == Path() or (PACKAGE / folder).is_dir(), f"{path} mirrors nothing"
