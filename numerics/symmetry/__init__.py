"""Symmetries of the posterior and of its free energy, for every solver; the simulator has its own.

``group`` derives the sign symmetries of a problem, ``held_out`` what they do to held-out patterns, ``exchange`` the
exchanges of patterns that leave F as it is; ``gauge`` is the sign in which a state is given, and tells the predictions
whose sign is arbitrary. What symmetries make of a solver's states is with the solver: ``numerics.linear.images``,
``numerics.nonlinear.symmetries``.
"""
