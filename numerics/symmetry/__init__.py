"""Symmetries of the posterior and of its free energy, for every solver; the simulator has its own.

``group`` derives the sign symmetries of a problem, ``actions`` what they do to kernels of the linear theory,
``held_out`` to held-out patterns; ``gauge`` is the sign in which a state is given, and tells the predictions whose sign
is arbitrary. ``states`` are images among states of the linear theory, ``phases`` that theory's phases of W with the
classes of directions into which they split its Hessian, ``trajectories`` what a nonlinear network's state keeps,
``exchange`` the exchanges of patterns that make another of it.
"""
