"""Stationary kernels along a scale parameter: branches, special points, hysteresis.

``family`` is a problem with one free scale, ``path`` the pseudo-arclength step with the linear algebra of ``linear``,
``branch`` a branch, ``following`` follows one, and ``events`` locates its special points; ``growth`` finds the branches
of a problem within a range and beyond, ``pieces`` where free energies of minima cross, ``diagram`` is what there is
inside the range. ``states`` lists and counts the states of one problem, and ``hysteresis`` follows the state
adiabatically.

Written here rather than taken from a library: those for Python difference the residual, bisect, and know neither the
metric of positive-definite kernels nor their symmetries, by which pitchforks become regular points.
"""
