"""Langevin and Hamiltonian sampling of the unrolled network's weights; knows neither theory nor solvers."""
