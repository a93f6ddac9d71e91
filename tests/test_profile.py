"""Profiles: the bundled files, the combination rules, the sentences of refusal."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfgreen.errors import InvalidProfileError, MissingPathError, UnknownNameError, UsageError
from tfgreen.profile import (
    DEFAULT_PROFILE,
    ExportProfile,
    Limits,
    list_profiles,
    load_profile,
    parse_bytes,
    profile_path,
    reading,
)

NAMES = {
    "mobile-int8",
    "mobile-float16",
    "mobile-dynamic-int8",
    "mobile-weights-int4",
    "raspberry-pi-int8",
    "microcontroller-int8",
    "microcontroller-int16x8",
    "ethos-u55-int8",
    "ethos-u65-int8",
    "ethos-u85-int8",
    "coral-edgetpu-int8",
}

SOUND = """
summary = "s"
target = "t"
scheme = "int8"
input_type = "int8"
output_type = "int8"
full_integer = true
[kernel_sets]
truth = "xnnpack"
"""


def written(folder: Path, text: str, replace: tuple[str, str] = ("", "")) -> Path:
    path = folder / "mine.toml"
    path.write_text(text.replace(*replace), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidProfileError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_the_eleven_profiles():
    assert set(list_profiles()) == NAMES
    assert load_profile().name == DEFAULT_PROFILE == "mobile-int8"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_bundled_profile(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.scheme.replace("weights-", "") in name
    assert profile.batch == 1
    assert profile.full_integer == (profile.scheme in ("int8", "int16x8"))
    assert profile.limits.op_quanta == 1
    assert ExportProfile.model_validate_json(profile.model_dump_json()) == profile
    assert profile_path(name).read_text(encoding="utf-8").startswith("# "), "no comment on top"
    assert max(map(len, (profile.summary, profile.target, *profile.notes))) <= 100


@pytest.mark.parametrize("name", sorted(NAMES))
def test_bundled_ops_allow_what_float_boundaries_need(name):
    ops = load_profile(name).ops
    assert ops is None or {"QUANTIZE", "DEQUANTIZE"} <= set(ops)
    assert ops is None or list(ops) == sorted(set(ops))


def test_truths():
    truths = {name: load_profile(name).kernel_sets.truth for name in NAMES}
    for name, truth in truths.items():
        expected = {"micro": "micro", "ethos": "reference", "coral": "reference"}
        assert truth == expected.get(name.split("-")[0].removesuffix("controller"), "xnnpack")


def test_microcontroller_profiles_list_the_same_ops():
    ops = set(load_profile("microcontroller-int8").ops or ())
    assert ops == set(load_profile("microcontroller-int16x8").ops or ())
    assert {"CONV_2D", "BATCH_MATMUL", "SELECT_V2"} <= ops
    assert not {"GELU", "DENSIFY", "TILE"} & ops


def test_known_ops_only():
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    known = {name for name in vars(schema.BuiltinOperator) if name.isupper()}
    for name in NAMES:
        assert set(load_profile(name).ops or ()) <= known


def test_own_profile_is_named_after_its_file(tmp_path):
    path = written(tmp_path, SOUND)
    assert load_profile(path).name == "mine"
    assert load_profile(str(path)) == load_profile(path)
    assert load_profile(load_profile(path)) == load_profile(path)


def test_unknown_profile_names_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'mobile-int8'"):
        load_profile("mobile-int9")


def test_missing_profile_file(tmp_path):
    with pytest.raises(MissingPathError, match="mobile-int8"):
        load_profile(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("op_quantum = 2", "'kernel_sets.op_quantum'"),
        ("[limits]\nop_quantum = 2", "Did you mean 'limits.op_quanta'"),
        ("[limits]\nop_quantum = 2\nmore = 1", "(1 more to mend.)"),
        ("[limits]\nagreement = 1.5", "'limits.agreement' is 1.5 (float)"),
        ("[limits]\nsqnr_db = nan", "should be a finite number"),
        ("[limits]\nop_quanta = true", "should be a valid integer"),
        ("[limits]\nruntime_quanta = '3'", "should be a valid integer"),
        ("[budgets]\narena_bytes = '64 XB'", "'64 XB'"),
        ("[budgets]\nfile_bytes = 0", "positive whole number"),
        ("compared = ['xnnpack']", "'xnnpack' is named twice"),
        (
            "compared = ['cmsis']",
            "should be 'reference', 'optimized', 'xnnpack', 'micro' or 'numpy'",
        ),
    ],
)
def test_wrong_keys_and_values(tmp_path, added, told):
    assert told in refusal(written(tmp_path, SOUND + added))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("truth = ", "truht = "), "Did you mean 'kernel_sets.truth'"),
        (('target = "t"', ""), "the key 'target' is missing"),
        (('target = "t"', "target = 3"), "'target' is 3 (int), but should be a valid string"),
        (('"t"', '"t"\nbatch = 0'), "greater than or equal to 1"),
        (('"t"', '"t"\nops = ["conv2d"]'), "'ops.0' is 'conv2d'"),
        (('"t"', '"t"\ntruth = "micro"'), "Did you mean 'kernel_sets.truth'"),
        (('scheme = "int8"', 'scheme = "uint8"'), "'scheme' is 'uint8' (str), but should be"),
        (('input_type = "int8"', 'input_type = "int16"'), "only as int8 or uint8 or float32"),
        (('output_type = "int8"', 'output_type = "bool"'), "'output_type' is 'bool'"),
        (('scheme = "int8"', 'scheme = "float16"'), "full_integer must be false"),
        (('scheme = "int8"', 'scheme = "int16x8"'), "only as int16 or float32"),
        (("summary", "[["), "is not a TOML file"),
    ],
)
def test_wrong_profiles(tmp_path, change, told):
    assert told in refusal(written(tmp_path, SOUND, change))


@pytest.mark.parametrize(
    ("scheme", "kernel_set", "reason"),
    [
        ("float16", "micro", "refuses files with float16 weights"),
        ("dynamic-int8", "micro", "computes them wrongly"),
        ("weights-int4", "micro", "refuses files with 4-bit weights"),
        ("weights-int4", "reference", "blockwise 4-bit"),
    ],
)
@pytest.mark.parametrize("place", ["truth", "compared"])
def test_runtimes_that_compute_a_scheme_wrongly(tmp_path, scheme, kernel_set, reason, place):
    text = SOUND.replace('"int8"', '"float32"').replace("true", "false")
    text = text.replace('scheme = "float32"', f'scheme = "{scheme}"')
    if place == "truth":
        text = text.replace("xnnpack", kernel_set)
    else:
        text += f'compared = ["{kernel_set}"]'
    message = refusal(written(tmp_path, text))
    assert reason in message
    assert f"'{kernel_set}' does not go with scheme '{scheme}'" in message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a = [" * 5000, b"just words"])
def test_no_toml(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    assert "is not a TOML file" in refusal(path)


def test_a_folder_is_no_profile(tmp_path):
    assert "cannot be read" in refusal(tmp_path)


def test_overrides():
    profile = load_profile("microcontroller-int8")
    changed = profile.with_overrides(io="uint8:float32", arena="64KB", flash="0.5MB", batch=4)
    assert (changed.input_type, changed.output_type) == ("uint8", "float32")
    assert changed.budgets.arena_bytes == 64 * 1024
    assert changed.budgets.file_bytes == 512 * 1024
    assert changed.batch == 4
    assert changed.ops == profile.ops
    assert profile.budgets.arena_bytes is None
    assert profile.with_overrides() == profile
    assert profile.with_overrides(io="uint8").output_type == "uint8"


@pytest.mark.parametrize(
    ("name", "overrides", "error"),
    [
        ("mobile-int8", {"io": "int16"}, UsageError),
        ("microcontroller-int16x8", {"io": "int8"}, UsageError),
        ("mobile-float16", {"io": "uint8"}, UsageError),
        ("mobile-int8", {"io": "int9"}, UnknownNameError),
        ("mobile-int8", {"io": "int8:"}, UnknownNameError),
        ("mobile-int8", {"arena": "plenty"}, UsageError),
        ("mobile-int8", {"flash": -1}, UsageError),
        ("mobile-int8", {"batch": 0}, UsageError),
    ],
)
def test_wrong_overrides(name, overrides, error):
    with pytest.raises(error):
        load_profile(name).with_overrides(**overrides)


VELA = """
[vela]
accelerator_config = "ethos-u55-128"
system_config = "Ethos_U55_High_End_Embedded"
memory_mode = "Shared_Sram"
"""


def test_the_npu_of_a_profile(tmp_path):
    settings = {name: load_profile(name).vela for name in sorted(NAMES)}
    assert [name for name, found in settings.items() if found is not None] == [
        "ethos-u55-int8",
        "ethos-u65-int8",
        "ethos-u85-int8",
    ]
    mine = load_profile(written(tmp_path, SOUND + VELA))
    assert mine.vela is not None
    assert mine.vela.config_file == "Arm/vela.ini"
    bigger = mine.with_overrides(vela={"accelerator_config": "ethos-u55-256"})
    assert bigger.vela is not None
    assert bigger.vela.accelerator_config == "ethos-u55-256"
    assert bigger.vela.memory_mode == mine.vela.memory_mode
    with pytest.raises(UsageError, match=r"Ethos_U65_High_End.* for ethos-u65-256"):
        mine.with_overrides(vela={"accelerator_config": "ethos-u65-256"})
    with pytest.raises(UsageError, match="the key 'vela.accelerator_config' is missing"):
        load_profile("mobile-int8").with_overrides(vela={})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("u55-128", "u55-129"), "'vela.accelerator_config' is 'ethos-u55-129'"),
        (("accelerator_", "acelerator_"), "Did you mean 'vela.accelerator_config'"),
        (("Ethos_U55_High", "Ethos_U65_High"), "has Ethos_U55_Deep_Embedded, Ethos_U55_High"),
        (("Shared_Sram", "Sram_Shared"), "has Sram_Only, Shared_Sram, Dedicated_Sram"),
        (("Shared_Sram", "Dedicated_Sram"), "keeps activations in DRAM"),
        (("Shared_Sram", "--help"), "'vela.memory_mode' is '--help'"),
        (('Sram"', 'Sram"\nconfig_file = "--x.ini"'), "'vela.config_file' is '--x.ini'"),
        (("full_integer = true", "full_integer = false"), "needs full_integer"),
    ],
)
def test_wrong_npus(tmp_path, change, told):
    assert told in refusal(written(tmp_path, SOUND + VELA, change))


def test_the_names_of_a_board_are_its_own(tmp_path):
    added = 'config_file = "boards/mine.ini"\n'
    mine = VELA.replace("Ethos_U55_High_End_Embedded", "My_Board")
    profile = load_profile(written(tmp_path, SOUND + mine + added))
    assert profile.vela is not None
    assert profile.vela.system_config == "My_Board"


def test_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_profile().batch = 2


@pytest.mark.parametrize("size", ["", "KB", "-1KB", "1.5", "0", "1e3", "1 TB", 0, True, 1.5, None])
def test_sizes_that_are_none(size):
    with pytest.raises(UsageError, match="Received the size"):
        parse_bytes(size)


@given(
    st.integers(1, 10**6),
    st.sampled_from([("KB", 1024), ("MiB", 1024**2), ("GB", 1024**3), ("b", 1), ("", 1)]),
)
def test_sizes(count, unit):
    name, factor = unit
    assert parse_bytes(f"{count}{name}") == parse_bytes(f" {count} {name.lower()} ")
    assert parse_bytes(f"{count}{name}") == count * factor == parse_bytes(count * factor)


def test_profiles_are_found_in_a_wheel_and_in_a_checkout(tmp_path, monkeypatch):
    toml = profile_path("mobile-int8").read_text(encoding="utf-8")
    package = tmp_path / "site-packages" / "tfgreen"
    package.mkdir(parents=True)
    monkeypatch.setattr(reading, "__file__", str(package / "profile" / "reading.py"))
    with pytest.raises(InvalidProfileError, match="Reinstall"):
        list_profiles()
    for folder in (package.parent / "export_profiles", package / "_export_profiles"):
        folder.mkdir()
        (folder / f"{folder.parent.name}.toml").write_text(toml, encoding="utf-8")
        assert list_profiles() == (folder.parent.name,)
        assert load_profile(folder.parent.name).scheme == "int8"


def test_documented_limits_are_the_defaults():
    document = Path(__file__).parents[1] / "docs" / "profiles.md"
    text = document.read_text(encoding="utf-8")
    for name, field in Limits.model_fields.items():
        shown = "none" if field.default is None else f"{field.default:g}"
        assert f"| `{name}` | {shown} |" in text
    for name in NAMES:
        assert f"`{name}`" in text
        assert tomllib.loads(profile_path(name).read_text(encoding="utf-8"))["summary"] in text
