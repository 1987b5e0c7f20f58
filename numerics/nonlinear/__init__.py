"""The conjugate-kernel saddle of docs/theory.md section 4, for any activation.

``F[Φ, Φ̃] = E(Φ) + tr Φ̃Φ - ln Z``, ``Z = ∫ dh N(h|0, C[Φ]) exp(φ(h)ᵀ Φ̃ φ(h))``. For each Φ, F is concave in Φ̃; its
maximum over Φ̃ is the free energy of Φ, whose minima are the states of the network.

Coordinates: ``space``, of one neuron's trajectory, in which its covariance C[Φ] is regular, for any sharing matrix,
skip and biases; ``classes``, rows of Φ that are one row; ``labels``, the energy of all outputs and its derivatives;
``forward``, the kernel without data; ``symmetries``, what a state keeps, and its images. φ itself is
``numerics.inputs.activation``.

Averages: ``nodes``, over the tilted trajectory, with their exact sensitivities, from weighted points; ``quadrature``,
such points for few dimensions; ``sample``, for many; ``walkers``, where a fixed sample has too few points that count;
``trajectories``, points of the law of a state that is known. ``reduced``: F maximised over Φ̃, with gradient and
Hessian; ``iteration``: the map of moments on a sample that moves with the state, by ``averaging`` over each of the
``groups`` of which a law is the product, in coordinates of ``frames``, with Anderson's ``acceleration``;
``instability``: directions in which it leads away from a fixed point; ``refining``: how its fixed points move on other
samples, by ``response``, its derivative for normal laws; ``corrected``: Newton's steps on many more points; ``weak``:
what weak labels change of the random network's kernel; ``spread``: how far a sampled state may be off.

States: ``search``, the way to them (``lowest_state``, ``all_states``, ``state_near``); ``setting``, what its parts
need; ``following``, the random network's state as the labels grow; ``exploration``, the cheap part, by ``descent`` of F
over ``laws`` of the trajectory (``gaussian_descent`` where it has many dimensions, by averages of ``normal`` laws),
from those of ``learnt`` too;
``states``, such laws as states of an engine; ``minima``, what is met from all sides and below; ``answers``, the states
refined and compared; ``engine``, what this asks of ``by_quadrature``, ``by_sampling`` (on as large samples as it
needs; ``sampled``: on one) and ``by_walkers``; ``diagonal``, the incoherent state of one trajectory; ``solution``;
``critical``, where the random network's state turns unstable. ``journal``, a search that goes on where it was
interrupted, with ``encoding``, how its steps are kept.

Beyond the state: ``fluctuations`` at finite width; ``held_out``, inputs that were not learnt; ``joined``, these at
finite width.
"""
