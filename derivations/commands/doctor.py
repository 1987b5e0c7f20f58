"""`unrolled doctor`: versions, linear algebra, cores and memory, and what of these makes runs slow or wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from derivations import output
from numerics.machine import examine, unmet


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(as_json: bool) -> int:
    """Say what this program runs on: versions, BLAS and its threads, cores, memory, optional extras.

    Warns of settings that make it slow or wrong. Exit status 1 if a dependency is missing or too old.
    """
    found = examine()
    if as_json:
        output.print_json(found)
    else:
        print_report(found)
    return 1 if unmet(found["dependencies"]) else 0


def print_report(found: Mapping[str, Any]) -> None:
    """Tables for people, warnings last."""
    memory = found.get("memory_bytes")
    machine = [
        ("unrolled", found["unrolled"]),
        ("Python", found["python"]),
        ("platform", found["platform"]),
        ("cores (usable / machine)", f"{found['cores']['usable']} / {found['cores']['machine']}"),
        ("memory", f"{memory / 2**30:.1f} GiB" if memory else "unknown"),
        *found["thread_variables"].items(),
    ]
    output.print_table("Machine", ["what", "value"], machine)
    output.print_table(
        "Thread pools",
        ["library", "version", "threads", "for"],
        [
            [pool["internal_api"], pool.get("version", ""), str(pool["num_threads"]), pool["user_api"]]
            for pool in found["thread_pools"]
        ],
    )
    output.print_table(
        "Dependencies",
        ["package", "required", "installed"],
        [[name, entry["required"], entry.get("installed", "MISSING")] for name, entry in found["dependencies"].items()],
    )
    output.print_table(
        "Optional extras",
        ["extra", "state"],
        [
            [name, f"missing: {', '.join(unmet(packages))}" if unmet(packages) else "installed"]
            for name, packages in found["extras"].items()
        ],
    )
    for warning in found["warnings"]:
        click.echo(f"Warning: {warning}.")
    if not found["warnings"]:
        click.echo("No warnings.")
