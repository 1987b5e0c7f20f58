"""Stationary kernels along one parameter: ``scan`` gives branches, special points, signed counts and hysteresis loop.

``parameters`` are what may vary, ``options`` every tolerance and bound. ``family`` is a problem with one of them set
free, ``path`` the pseudo-arclength step with the linear algebra of ``linear``, ``stretch`` a branch between its points,
``branch`` a branch, ``following`` follows one, and ``events`` locates its special points (with ``roots``, zeros between
two points); ``growth`` finds the branches of a problem within a range and beyond, ``pieces`` their stretches of
minima, ``crossings`` where free energies of these cross, ``diagram`` what there is inside the range. ``on_grid``
converges its states at given values, many at once, ``signed_counts`` tests that none is missing, and ``hysteresis``
follows the state adiabatically. ``nonlinear`` scans other activations; ``states`` lists and counts the states of one
problem. ``scanned`` is what ``scan`` returns, with its ``scanned_branch`` and ``special_points``; ``drawing`` draws it,
along the ``curves`` that were followed.

Written here rather than taken from a library: those for Python difference the residual, bisect, and know neither the
metric of positive-definite kernels nor their symmetries, by which pitchforks become regular points.
"""
