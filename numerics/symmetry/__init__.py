"""Symmetries of the posterior and of its free energy, for every solver; the simulator has its own.

``gauge`` is the sign in which a state is given; ``phases`` the symmetries of the linear free energy, phases of W, with
the classes of directions into which they split its Hessian; ``trajectories`` what W → -W leaves as it is of one
neuron's trajectory, for any activation.
"""
