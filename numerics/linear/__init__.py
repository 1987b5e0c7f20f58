"""Saddle points of the linear theory for any problem.

``space`` is the input space in which the kernel is positive-definite, ``functional`` the free energy on it with its
exact Hessian–vector products, ``trust_region`` the solver from one start, ``search`` the starts and branches
(``lowest_state``, ``search_all``), ``newton`` the batched solver for small lowered problems.
"""
