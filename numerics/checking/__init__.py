"""Theory against sampled networks of one problem, in every minimum of the free energy.

``check`` puts it together: ``weights``, which phase carries the weight at a width; ``regions``, which phase a sampled
kernel is in; ``laws``, where chains that start in a phase begin; ``linear`` and ``nonlinear``, a phase's prediction
against the chains in it.
"""
