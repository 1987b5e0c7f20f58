"""Perturbation theory in the labels, to any order (docs/theory.md section 7)."""

from theory.perturbation.algebra import sharing_matrix
from theory.perturbation.one_pattern import Perturbation, block_perturbation, perturbation
from theory.perturbation.paths import Path, cut_paths, path_shares, paths
from theory.perturbation.series import Series, series, weight_steps
from theory.perturbation.tasks import Task, expand, supervise

__all__ = [
    "Path",
    "Perturbation",
    "Series",
    "Task",
    "block_perturbation",
    "cut_paths",
    "expand",
    "path_shares",
    "paths",
    "perturbation",
    "series",
    "sharing_matrix",
    "supervise",
    "weight_steps",
]
