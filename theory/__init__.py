"""What is true: the kernel theory in SymPy. Free energies, stationarity, critical points, exact branches.

Names, listed in ``__init__.pyi``, are imported when first used. ``perturbation``, ``matrix_calculus`` and ``symbols``
are modules; everything else that a module holds is there under its full path, as ``theory.landau.landau_expansion``.

What every part uses: ``symbols``; ``kernel``, its shift and mask; ``sharing``, the matrices M of the families.

Free energies: ``free_energy``, of endpoint supervision, entry by entry (``elimination`` of one); ``matrix_calculus``,
of any task; ``conjugate_kernels``, of any activation, with its ``gaussian_averages``; ``perturbation``, the expansion
in the labels.

Endpoint supervision, RNN and DNN: ``incoherent``, the diagonal branch; ``stability``, its sectors of equal lag;
``critical_point``, with the amplitude by ``landau`` and ``looped``; ``coexistence``, fold and equal free energy;
``coherent_branch``, T = 4, any ρ, by ``coherent_elimination``, with ``coherent_hessian``; ``coherent_curve``, T = 5;
``complete_states``, that none is missing; ``learning_onset``, ``learning_transition`` and ``learning_coherence``.

Beyond: sharing matrices (``sharing_stability``, ``sharing_transition``, ``sharing_groups``, ``sharing_landau``,
``sharing_tricritical``, ``looped``); skip connections (``skip_tied``, ``skip_untied``, ``skip_unfolding``,
``skip_cusps``, ``depth_limit``); outputs (``several_outputs``, ``orthogonal_outputs``).

What follows from a kernel: W's ``outliers``, ``outlier_signals``, ``singular_values`` and ``teacher_spectrum``. Finite
width: ``fluctuations``, ``one_loop``, ``phase_odds``.

Algebra: ``determinants``, ``differentiation``, ``power_series``, ``real_roots``, ``bracketing`` of a root, ``claims``
that an expression vanishes. How results are shown: ``display``, ``typesetting``, ``oriented`` products.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
