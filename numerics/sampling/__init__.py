"""Langevin and Hamiltonian sampling of the unrolled network's weights; knows neither theory nor solvers."""

from numerics.sampling.plan import Plan
from numerics.sampling.result import Simulation
from numerics.sampling.simulate import last_weights, simulate
from numerics.sampling.starts import STARTS
from numerics.sampling.tempering import Tempering, ladder
from numerics.sampling.trajectories import GaussianLaw, WeightedLaw

__all__ = [
    "STARTS",
    "GaussianLaw",
    "Plan",
    "Simulation",
    "Tempering",
    "WeightedLaw",
    "ladder",
    "last_weights",
    "simulate",
]
