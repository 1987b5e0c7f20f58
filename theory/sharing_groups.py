"""Groups of times between which the kernel vanishes in every stationary state (docs/theory.md section 10).

Join s with t and s+1 with t+1 wherever two matrices of different times are correlated, ``M_st ≠ 0``. Then
``C^{s+1,t+1} = w M_st H^{st}`` has no entry between different groups, whatever H is, and contains no such entry of H:
these occur in ``-½ ln|H|`` alone. By Jacobi's formula ``∂F/∂H^{ts} = -(H⁻¹)^{ts}`` there, so that stationarity makes
``H⁻¹``, and with it H, block diagonal; by Fischer's inequality the blocks of any kernel have a lower F than the
kernel. For ``looped:p`` the groups are the residues mod p: lags that are no multiple of p vanish. For two tied
matrices a < b that are no neighbours they are {a, b}, {a+1, b+1} and single times.
"""

from __future__ import annotations

from sympy import ImmutableMatrix

from theory.kernel import kernel_matrix
from theory.sharing import forward_covariance


def groups(M: ImmutableMatrix) -> list[list[int]]:
    """The groups of the hidden times 1 … n, in order of their first times."""
    n = M.shape[0] + 1
    group = list(range(n))
    for s in range(n - 1):
        for t in range(s + 1, n - 1):
            if M[s, t] != 0:
                for a, b in ((s, t), (s + 1, t + 1)):
                    old, new = group[b], group[a]
                    group = [new if g == old else g for g in group]
    return [[t + 1 for t in range(n) if group[t] == g] for g in dict.fromkeys(group)]


def assert_groups(M: ImmutableMatrix) -> None:
    """Whatever H is, C has no entry between the groups, and contains none of H.

    Raises:
        ArithmeticError: if it does.
    """
    n = M.shape[0] + 1
    H = kernel_matrix(n)
    C = forward_covariance(H, M)
    where = {t: g for g, times in enumerate(groups(M)) for t in times}
    between = {(s, t) for s in range(n) for t in range(n) if where[s + 1] != where[t + 1]}
    if any(C[s, t] != 0 for s, t in between):
        raise ArithmeticError("the forward covariance joins two groups")
    if C.free_symbols & {H[s, t] for s, t in between}:
        raise ArithmeticError("the forward covariance contains an entry of H between two groups")
