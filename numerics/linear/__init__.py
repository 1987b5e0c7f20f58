"""Saddle points of the linear theory for any problem.

Space: ``space`` is that in which the kernel is positive-definite, ``coordinates`` those of a problem, along the
``directions`` of its inputs, or as ``responses`` of the weights; ``time_blocks``, matrices with a block for each time.

Free energy: ``functional``, with its exact Hessian–vector products; ``labels`` and ``energy``, its part of the labels,
``received``, that of any sharing, ``derived``, the code written from the expressions of the theory; ``groups`` of times
that have nothing in common, and F on them (``grouped``, ``separate``); ``recursion``, the random network's Hessian.

Search: ``search`` is the way to the lowest state and to all; ``starts``, where it begins on the learnt side;
``descent``, cheap, over ``relative_factors`` (``carrying`` makes kernels of them); ``trust_region``, Newton from one
start, by ``steps`` as matrices or arrows, with ``krylov`` for large kernels; ``modes``, their smallest curvature;
``saddles`` between minima; ``neutral``, manifolds of minima; ``solution``, a state, made by ``states``. Many at once:
``batch``, problems of any kind that differ in numbers; ``newton``, small lowered problems.

Symmetries: ``actions``, what signs do to kernels; ``images``, what they make of a state, and whether two states are
one; ``lag_classes``, phases of W, and the classes of lags into which they split the Hessian.

``fluctuations``: the density around a minimum, to order 1/N.
"""
