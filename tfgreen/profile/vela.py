"""`VelaSettings`: for which NPU, clock and memories Vela compiles a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from tfgreen.profile.sections import Section

Accelerator = Literal[
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
]
"""Family and multiply-accumulate units, as Vela calls them."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
ConfigFile = Annotated[str, StringConstraints(pattern=r"^[^-].*\.ini$")]

ARM_CONFIG = "Arm/vela.ini"

# The sections of Arm's own configuration file, from ethos-u-vela 5.2.0.
_SYSTEMS: Mapping[str, str] = {
    "Ethos_U55_Deep_Embedded": "flash",
    "Ethos_U55_High_End_Embedded": "flash",
    "Ethos_U65_Embedded": "flash",
    "Ethos_U65_Mid_End": "dram",
    "Ethos_U65_High_End": "dram",
    "Ethos_U65_Client_Server": "dram",
    "Ethos_U85_SYS_Flash_Low": "flash",
    "Ethos_U85_SYS_Flash_High": "flash",
    "Ethos_U85_SYS_DRAM_Low": "dram",
    "Ethos_U85_SYS_DRAM_Mid": "dram",
    "Ethos_U85_SYS_DRAM_High": "dram",
}
_DEDICATED = (
    "Dedicated_Sram",
    "Dedicated_Sram_256KB",
    "Dedicated_Sram_384KB",
    "Dedicated_Sram_512KB",
)
_MEMORY_MODES = ("Sram_Only", "Shared_Sram", *_DEDICATED)


class VelaSettings(Section):
    """What Vela is told; all of it matters to the figures, so nothing is left to its defaults.

    accelerator_config: the NPU and its multiply-accumulate units, as "ethos-u55-128".
    system_config: clock and memories, a section of the configuration file.
    memory_mode: where weights and activations lie. In Arm's file: `Sram_Only` (all in SRAM),
        `Shared_Sram` (weights in flash or DRAM, activations in SRAM, which the CPU shares),
        `Dedicated_Sram` and its sizes (all in DRAM, SRAM as the NPU's cache).
    config_file: "Arm/vela.ini", the one that Vela brings along, or the path of your board's own.
        Only the names of Arm's are known beforehand, and checked here.

    >>> VelaSettings(accelerator_config="ethos-u55-256", memory_mode="Shared_Sram",
    ...              system_config="Ethos_U55_High_End_Embedded").config_file
    'Arm/vela.ini'
    """

    accelerator_config: Accelerator
    system_config: Name
    memory_mode: Name
    config_file: ConfigFile = ARM_CONFIG

    @model_validator(mode="after")
    def _fits_together(self) -> VelaSettings:
        reason = next(self._objections(), None) if self.config_file == ARM_CONFIG else None
        if reason is not None:
            raise ValueError(reason)
        return self

    def _objections(self) -> Iterator[str]:
        family = "_".join(self.accelerator_config.split("-")[:2]).replace("ethos_u", "Ethos_U")
        known = [name for name in _SYSTEMS if name.startswith(family)]
        if self.system_config not in known:
            yield (
                f"system_config is '{self.system_config}', but {ARM_CONFIG} has "
                f"{', '.join(known)} for {self.accelerator_config}; name one of them, or your "
                "board's own config_file"
            )
        if self.memory_mode not in _MEMORY_MODES:
            yield (
                f"memory_mode is '{self.memory_mode}', but {ARM_CONFIG} has "
                f"{', '.join(_MEMORY_MODES)}; name one of them, or your board's own config_file"
            )
        if self.memory_mode in _DEDICATED and _SYSTEMS.get(self.system_config) == "flash":
            yield (
                f"memory_mode '{self.memory_mode}' keeps activations in DRAM, and "
                f"system_config '{self.system_config}' has none; take Shared_Sram"
            )
