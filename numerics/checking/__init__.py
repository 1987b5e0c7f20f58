"""Theory against sampled networks of one problem, in every minimum of the free energy.

``check`` puts it together: ``weights``, which phase carries the weight at a width; ``regions``, which phase a sampled
kernel is in; ``laws``, where chains that start in a phase begin; ``signs``, their draws in the sign of one state;
``kernels``, a phase's prediction against the chains in it, with the verdict of ``agreement`` and the picture of
``comparison``; ``variates``, which take noise out of sampled kernels. ``phase_weights`` are the odds of phases that
coexist, ``phase_shares`` what sampled networks have.
"""
