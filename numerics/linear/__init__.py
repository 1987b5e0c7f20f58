"""Saddle points of the linear theory for any problem.

``space`` is the space in which the kernel is positive-definite, ``coordinates`` that of a problem, ``functional`` the
free energy on it with its exact Hessian–vector products (``energy`` and ``received`` its parts), ``trust_region`` the
solver from one start, ``search`` the starts and branches (``lowest_state``, ``search_all``), ``newton`` the batched
solver for small lowered problems.
"""
