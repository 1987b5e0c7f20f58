"""Perturbation theory in the labels, to any order (docs/theory.md section 7)."""

from theory.perturbation.one_pattern import Perturbation, block_perturbation, perturbation
from theory.perturbation.paths import Path, cut_paths, paths
from theory.perturbation.series import ARCHITECTURES, Series, series
from theory.perturbation.tasks import Task, expand, supervise

__all__ = [
    "ARCHITECTURES",
    "Path",
    "Perturbation",
    "Series",
    "Task",
    "block_perturbation",
    "cut_paths",
    "expand",
    "paths",
    "perturbation",
    "series",
    "supervise",
]
