"""The machine and its state during a measurement; kept with every result.

A value that cannot be determined is None, or an empty list or dict, and never an error. No value names the person, the
host or a path, so a result can be published as it is.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtseg.artifacts.manifest import tool_versions

COMMAND_TIMEOUT_S = 20

VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_VISIBLE_DEVICES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_NUM_THREADS",
)
"""The environment variables that change how fast the backends are. None of them holds a path."""

GPU_FIELDS = {
    "name": "name",
    "driver_version": "driver",
    "compute_cap": "compute_capability",
    "memory.total": "memory_mib",
    "mig.mode.current": "mig",
    "persistence_mode": "persistence",
    "pstate": "performance_state",
    "clocks.sm": "sm_clock_mhz",
    "clocks.mem": "memory_clock_mhz",
    "clocks.max.sm": "max_sm_clock_mhz",
    "clocks.applications.graphics": "application_clock_mhz",
    "power.draw": "power_w",
    "power.limit": "power_limit_w",
    "temperature.gpu": "temperature_c",
    "utilization.gpu": "utilization_percent",
}
"""The fields queried from nvidia-smi, and the name of each answer."""

UNITS = ("mhz", "mib", "w", "c", "percent")
"""Answers with these endings in their names are numbers."""

THROTTLE_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The same bits under two names: newer drivers use the first, older drivers know only the second."""

THROTTLE_REASONS = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "software power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "hardware power brake",
    0x100: "display clocks",
}
"""The bits of the throttle reasons, as in nvml.h."""


def environment() -> dict[str, Any]:
    """Return the current environment as plain dicts, lists, strings and numbers.

    Call it right before measuring: load, clocks and temperatures are those of this moment.
    """
    return {
        "cpu": {
            "model": cpu_model(),
            "architecture": platform.machine() or None,
            "logical_cores": os.cpu_count(),
            "available_cores": available_cores(),
            "quota_cores": cpu_quota_cores(),
            "governor": cpu_governor(),
        },
        "memory_bytes": memory_bytes(),
        "os": {"name": os_name(), "kernel": f"{platform.system()} {platform.release()}"},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "tools": tool_versions(),
        "load_average": load_average(),
        "gpus": gpus(),
        "checkout": checkout(Path(__file__).resolve().parents[2]),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def cpu_model(root: Path = Path("/")) -> str | None:
    """Return the processor's name, or the board's if the kernel does not name the processor."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    board = _text(root / "proc/device-tree/model").rstrip("\0").strip()
    if board:
        return board
    for line in (_output(["lscpu"]) or "").splitlines():
        if line.startswith("Model name:"):
            return line.partition(":")[2].strip()
    return (_output(["sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip() or platform.processor() or None


def available_cores() -> int | None:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cpu_quota_cores(root: Path = Path("/")) -> float | None:
    """Return the CPU time that the tightest control group allows, in cores; None without a limit.

    Reads version 2 (cpu.max) and version 1 (cpu.cfs_quota_us) from the process' own group up to the root; in a
    container that is the container's root.
    """
    limits = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        own = top / group.lstrip("/")
        for folder in (own, *own.parents):
            limits.append(_quota(folder))
            if folder == top:
                break
    return min((limit for limit in limits if limit is not None), default=None)


def _quota(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    words = words or _text(folder / "cpu.cfs_quota_us").split() + _text(folder / "cpu.cfs_period_us").split()
    with contextlib.suppress(ValueError, ZeroDivisionError):
        quota, period = words
        return int(quota) / int(period) if int(quota) > 0 else None
    return None  # no such files, or "max 100000"


def cpu_governor(root: Path = Path("/")) -> str | None:
    """Return the frequency governor of the cores, several joined by commas; None without one."""
    folder = root / "sys/devices/system/cpu"
    found = {_text(path).strip() for path in folder.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(found - {""})) or None


def memory_bytes() -> int | None:
    """Return the size of the physical memory."""
    if hasattr(os, "sysconf"):
        with contextlib.suppress(ValueError, OSError):
            return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None


def load_average() -> list[float] | None:
    """Return the average number of runnable processes in the last 1, 5 and 15 minutes."""
    if hasattr(os, "getloadavg"):
        with contextlib.suppress(OSError):
            return [round(value, 2) for value in os.getloadavg()]
    return None


def os_name(root: Path = Path("/")) -> str | None:
    """Return the name and version of the distribution, or of macOS."""
    for line in _text(root / "etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'") or None
    version = platform.mac_ver()[0]
    return f"macOS {version}" if version else None


def gpus() -> list[dict[str, Any]]:
    """Return name, driver, clocks, power, temperature and throttle reasons of every NVIDIA GPU.

    A field that the driver does not know or the GPU does not report is None. The list is empty without nvidia-smi.
    """
    found = [dict.fromkeys(GPU_FIELDS.values()) for _ in _query_gpus(["name"])]
    if not found:
        return []
    # One unknown field makes the whole query fail, so after a failure the fields are queried one by one.
    fields = list(GPU_FIELDS)
    queries = [fields] if _query_gpus(fields) else [[field] for field in fields]
    for query in queries:
        for gpu, values in zip(found, _query_gpus(query)):
            gpu.update((GPU_FIELDS[field], _value(GPU_FIELDS[field], text)) for field, text in zip(query, values))
    throttling = next(filter(None, (_query_gpus([field]) for field in THROTTLE_FIELDS)), [])
    for gpu in found:
        gpu["throttle_reasons"] = None
    for gpu, values in zip(found, throttling):
        gpu["throttle_reasons"] = _throttle_reasons(values[0])
    return found


def _query_gpus(fields: Sequence[str]) -> list[list[str]]:
    text = _output(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]) or ""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return [row for row in rows if len(row) == len(fields) and row != [""]]


def _value(name: str, text: str) -> str | float | None:
    if text.startswith("[") or text in ("", "N/A"):
        return None  # [N/A], [Not Supported], [Unknown Error], ...
    if name.rpartition("_")[2] not in UNITS:
        return text  # a driver version 535.10 is not the number 535.1
    try:
        return float(text)
    except ValueError:
        return None


def _throttle_reasons(text: str) -> list[str] | None:
    try:
        bits = int(text, 16)
    except ValueError:
        return None
    return [THROTTLE_REASONS.get(1 << i, f"bit {i}") for i in range(bits.bit_length()) if bits >> i & 1]


def checkout(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the git checkout at folder, and whether its rtseg/ differs from that commit.

    None if folder is not the top of a checkout (an installed package may be inside another project's checkout), if it
    has no commit yet, or if git is missing.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", "rtseg")
    if top is None or commit is None or changes is None or Path(top.strip()).resolve() != folder.resolve():
        return None
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    return _output(["git", "--no-optional-locks", "-C", os.fspath(folder), *arguments])


def _output(command: Sequence[str]) -> str | None:
    """Return what the command prints; None if it is missing, fails or hangs."""
    # Variables such as GIT_DIR, which git sets inside a hook, would select another checkout.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            env={**variables, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
