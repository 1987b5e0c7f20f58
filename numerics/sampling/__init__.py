"""Langevin and Hamiltonian sampling of the unrolled network's weights; knows neither theory nor solvers."""

from numerics.sampling.activations import Activation
from numerics.sampling.archive import save, to_datatree
from numerics.sampling.ensemble import ensemble
from numerics.sampling.result import Simulation
from numerics.sampling.simulate import simulate
from numerics.sampling.starts import STARTS

__all__ = ["STARTS", "Activation", "Simulation", "ensemble", "save", "simulate", "to_datatree"]
