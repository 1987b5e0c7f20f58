"""What the program runs on: versions, linear algebra, cores and memory, and what of these makes runs slow or wrong."""

from __future__ import annotations

import os
import platform
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

#: Variables that decide how many threads linear algebra starts.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
#: Below this much memory the largest saddles (nP ≈ 2000) do not fit.
LEAST_MEMORY = 2 * 2**30


def examine() -> dict[str, Any]:
    """Everything that is known, as plain data."""
    project = declared()
    packages = {name: installed(lines) for name, lines in project.requirements.items()}
    found: dict[str, Any] = {
        "unrolled": project.version,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": {"machine": os.cpu_count() or 1, "usable": usable_cores()},
        "dependencies": packages.pop(""),
        "extras": packages,
        "thread_pools": thread_pools(),
        "thread_variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "encoding": sys.stdout.encoding or "unknown",
    }
    if (memory := memory_bytes()) is not None:
        found["memory_bytes"] = memory
    found["warnings"] = warnings(found)
    return found


def usable_cores() -> int:
    """Cores that this process may run on: containers and batch systems often allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Physical memory, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


@dataclass(frozen=True)
class Declared:
    """What the project says of itself: its version, and its requirements by extra ("" for those always needed)."""

    version: str
    requirements: Mapping[str, Sequence[str]]


def declared() -> Declared:
    """From pyproject.toml in a checkout, where metadata may be old or absent; else from the installed metadata."""
    checkout = Path(__file__).parents[1] / "pyproject.toml"
    if checkout.is_file():
        project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]
        return Declared(project["version"], {"": project["dependencies"], **project["optional-dependencies"]})
    from packaging.requirements import Requirement

    requirements: dict[str, list[str]] = {"": []}
    for extra in metadata.metadata("unrolled").get_all("Provides-Extra") or []:
        requirements[extra] = []
    for line in metadata.requires("unrolled") or []:
        marker = Requirement(line).marker
        for extra, lines in requirements.items():
            # an extra's marker holds for that extra alone
            if marker is None or "extra" not in str(marker):
                needed = extra == ""
            else:
                needed = extra != "" and marker.evaluate({"extra": extra})
            if needed:
                lines.append(line)
    return Declared(metadata.version("unrolled"), requirements)


def installed(requirements: Sequence[str]) -> dict[str, dict[str, str]]:
    """Each required package: what is accepted, and what is installed (absent if it is not)."""
    from packaging.requirements import Requirement

    found: dict[str, dict[str, str]] = {}
    for requirement in map(Requirement, requirements):
        if requirement.name == "unrolled":  # an extra made of other extras
            continue
        entry = {"required": str(requirement.specifier) or "any"}
        try:
            entry["installed"] = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            pass
        else:
            if not requirement.specifier.contains(entry["installed"], prereleases=True):
                entry["unmet"] = "not an accepted version"
        found[requirement.name] = entry
    return found


def unmet(packages: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Names of the packages that are missing or of a version that is not accepted."""
    return [name for name, entry in packages.items() if "installed" not in entry or "unmet" in entry]


def thread_pools() -> list[dict[str, Any]]:
    """Thread pools of the numerical libraries that NumPy and SciPy load."""
    from threadpoolctl import threadpool_info

    import numerics.lapack  # noqa: F401  loads NumPy's BLAS and SciPy's own

    shown = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
    return [{name: pool[name] for name in shown if pool.get(name) is not None} for pool in threadpool_info()]


def warnings(found: Mapping[str, Any]) -> list[str]:
    """One sentence for each setting that is likely to cost time or results."""
    told = []
    cores = found["cores"]
    for name in unmet(found["dependencies"]):
        told.append(f"{name} is missing or too old; required: {found['dependencies'][name]['required']}")
    if cores["usable"] < cores["machine"]:
        told.append(
            f"this process may use {cores['usable']} of {cores['machine']} cores: give simulate --workers no more"
        )
    pools = found["thread_pools"]
    if not any(pool["user_api"] == "blas" for pool in pools):
        told.append("no BLAS with a known thread pool was found: linear algebra may be slow")
    for pool in pools:
        if pool["num_threads"] > cores["usable"]:
            told.append(
                f"{pool['internal_api']} starts {pool['num_threads']} threads on {cores['usable']} usable cores: "
                f"set OMP_NUM_THREADS={cores['usable']}"
            )
    if found.get("memory_bytes", LEAST_MEMORY) < LEAST_MEMORY:
        told.append("less than 2 GiB of memory: large saddles and sweeps will not fit")
    if sys.flags.optimize:
        told.append("Python runs with -O, which drops assertions: the derivations prove nothing then")
    if found["encoding"].lower().replace("-", "") != "utf8":
        told.append(f"output is encoded as {found['encoding']}, which lacks λ and κ: set PYTHONIOENCODING=utf-8")
    return told
