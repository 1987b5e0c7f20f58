"""The conjugate-kernel saddle of THEORY.md section 4, for any activation.

``F[Φ, Φ̃] = E(Φ) + tr Φ̃Φ - ln Z``, ``Z = ∫ dh N(h|0, C[Φ]) exp(φ(h)ᵀ Φ̃ φ(h))``. For each Φ, F is concave in Φ̃; its
maximum over Φ̃ is the free energy of Φ, whose minima are the states of the network.

``activation``: φ by name, or the user's own; ``space``: coordinates of one neuron's trajectory in which its covariance
is regular; ``nodes``: averages over the tilted trajectory, with their exact sensitivities, from weighted points;
``quadrature``: such points for few dimensions; ``iteration``: a sample that moves with the state, for many;
``forward``: the kernel without data; ``reduced``: F maximised over Φ̃, with gradient and Hessian; ``search``: the states
(``solve_nonlinear``, ``solve_all_nonlinear``); ``variational``: the Gaussian approximation, an upper bound on F
(``solve_gaussian``).
"""
