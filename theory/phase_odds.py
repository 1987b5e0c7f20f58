"""Odds of coexisting states at width N: what their free energies have at order one, endpoint supervision, exactly.

See docs/theory.md sections 13 and 14. One pattern, linear activation, units ``u = v = w = 1``, ``n = T - 1``.

The integral of the kernel's density around a minimum is ``exp(-F_N)``, up to a factor 1 + O(1/N), with

``F_N = N F + Γ``, ``Γ = ½ ln(H^{nn}+κ) + ½ ln|∂²F|``,

∂²F by E in ``H = L (1 + E) Lᵀ``, in which dH is ``|H|^{(n+1)/2} dE`` and the Jacobian ``½(n+1) ln|H|`` of
``theory.fluctuations`` is gone; in units in which the random network has ``|∂²F| = 1``. Then ``exp(-F_N)`` is the
region's share of the prior's ``⟨(H^{nn}+κ)^{-1/2} exp(-Nλ/2(H^{nn}+κ))⟩``. Networks are in one of two states with the
odds ``(g_1/g_2) exp(-N ΔF - ΔΓ)``, g the numbers of images under symmetries: 2 for a coherent state of the RNN. The
odds are even at the width ``(ln(g_1/g_2) - ΔΓ)/ΔF``, and the λ of even odds is away from that of equal F by
``(ln(g_1/g_2) - ΔΓ)/(N ∂ΔF/∂λ)``.
"""

from __future__ import annotations

from sympy import Expr, Integer, S, factor, log, prod
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.coherent_branch import CoherentBranch
from theory.coherent_hessian import scaled_hessian
from theory.kernel import require_architecture, require_horizon
from theory.stability import lag_sector


def incoherent_order_one(T: int, arch: str = "rnn", kappa: Expr = symbols.kappa) -> Expr:
    """Γ on the incoherent branch, in r and κ.

    ``½ ln(r^n+κ) + ½ Σ_l ln|L_l|`` with the sectors of equal lag: ``|L_0| = r^{n-1}(r + n(1-r)(1-2ζ))`` for both
    architectures, ``ζ = r^n/(r^n+κ)``; for l ≥ 1 ``|L_l| = r^{m-1}(m - (m-1) r)``, ``m = n - l``, for the RNN, and 1
    for the DNN. Real where the branch is stable.

    Raises:
        ValueError: if T is no integer ≥ 3, or for an unknown architecture.

    Example:
        >>> from theory import symbols
        >>> from theory.phase_odds import incoherent_order_one
        >>> incoherent_order_one(3, "dnn").subs(symbols.r, 1)
        log(kappa + 1)/2
    """
    require_horizon(T, 3)
    require_architecture(arch)
    determinants = [lag_sector(T, lag, arch, kappa).determinant() for lag in range(T - 1)]
    return S.Half * log(symbols.r ** (T - 1) + kappa) + S.Half * sum((log(each) for each in determinants), Integer(0))


def coherent_order_one(branch: CoherentBranch) -> Expr:
    """Γ of one of the two signs of the coherent state at T = 4, in s and κ; real where the branch is stable.

    ``½ ln(H^{33}+κ) + 2 ln|H| + ½ ln(|∂²F|/|∂²F|_0)``, ∂²F by the entries of H, and that of the random network
    ``|∂²F|_0 = (1/2)³``: a diagonal entry of ``H = 1`` has ½, one off the diagonal 1. Hence

    ``Γ = ½ ln[8 s (s-2) (16s⁴ - 36s³ + 24s² - (4+2κ)s + κ)/(s-1)²]``.
    """
    scales, scaled = scaled_hessian(branch)
    determinant = DomainMatrix.from_Matrix(scaled).to_field()
    kernel, curvature = branch.kernel_matrix(), determinant.domain.to_sympy(determinant.det())
    inside = (kernel[2, 2] + branch.noise) * kernel.det() ** 4 * curvature / prod(scales.diagonal()) ** 2
    return S.Half * log(factor(8 * inside))
