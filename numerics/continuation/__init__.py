"""Stationary kernels along a scale parameter: branches, special points, hysteresis.

``family`` is a problem with one free scale, ``path`` the pseudo-arclength step, ``branch`` follows one branch and
locates its special points, ``diagram`` finds the branches of a problem and where their free energies cross,
``states`` lists and counts the states of one problem, and ``hysteresis`` follows the state adiabatically.

Written here rather than taken from a library: those for Python difference the residual, bisect, and know neither the
metric of positive-definite kernels nor their symmetries, by which pitchforks become regular points.
"""
