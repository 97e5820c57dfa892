"""What this machine is: for claims that hold on one machine and under what it is made of now."""

from __future__ import annotations

import functools
import os
import platform
import uuid

_ID_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_DRIVER_FILES = ("/sys/module/nvidia/version", "/sys/module/amdgpu/version")


@functools.cache
def machine_name() -> str:
    """A text that no other machine has and that outlives a restart: the system's own id, else the network card's, with the
    host's name, since machines that were cloned may share the first."""
    found = next((text for text in map(_first_line, _ID_FILES) if text), None)
    return f"{found or uuid.getnode():} {platform.node()}"


@functools.cache
def hardware() -> dict[str, str]:
    """What numeric results may depend on: processor, its number, and the driver of a GPU where there is one."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpus": str(os.cpu_count() or 1),
        "gpu driver": next((text for text in map(_first_line, _DRIVER_FILES) if text), ""),
    }
    return {name: value for name, value in found.items() if value}


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(200).strip()
    except OSError:
        return ""
