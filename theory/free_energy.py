"""The explicit kernel free energy of the linear network with endpoint supervision (docs/theory.md sections 3 and 5).

``F(H) = ½ y²/(v H^{nn} + κ) + ½ tr[H C⁻¹] - n/2 - ½ ln(|H|/|C|)``, ``C = w[H⁻] + uX⁻``, ``y² = λ v w^(T-2) u``,
for one pattern with ``x·x/D = 1`` and ``n = T - 1`` hidden times. ``F = -ln P(H|y,x)/N`` up to a constant, chosen so
that the last terms are the Kullback–Leibler divergence from the prior's kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from sympy import Add, Expr, ImmutableMatrix, Matrix, Rational, S, Symbol, log

from theory import symbols
from theory.determinants import adjugate, determinant
from theory.differentiation import Differentiator
from theory.display import Equations, Typeset
from theory.kernel import (
    forward_covariance,
    kernel_matrix,
    require_architecture,
    require_horizon,
    upper_triangle,
)

UNITS = {symbols.u: 1, symbols.v: 1, symbols.w: 1}


@dataclass(frozen=True)
class FreeEnergy(Typeset):
    """The free energy as named terms, and its derivatives in the independent kernel entries.

    Attributes:
        T: index of the last output; the kernel is ``(T-1) × (T-1)``.
        arch: ``"rnn"`` or ``"dnn"``.
        kernel: ``H``, symbols of ``theory.symbols.kernel_entry``.
        covariance: ``C = w[H⁻] + uX⁻``.
        variables: the independent entries of ``H``, row by row: 11, 12, …, 22, …, nn. An off-diagonal entry stands
            for both of its places in ``H``.
        parameters: ``(λ, κ, u, v, w)``.
        terms: ``"energy"`` ½y²/(vH^{nn}+κ), ``"trace"`` ½tr HC⁻¹ - n/2, ``"log_determinant"`` -½ ln(|H|/|C|).
    """

    T: int
    arch: str
    kernel: ImmutableMatrix
    covariance: ImmutableMatrix
    variables: tuple[Symbol, ...]
    parameters: tuple[Symbol, ...]
    terms: Mapping[str, Expr]

    def __post_init__(self) -> None:
        known = set(self.variables) | set(self.parameters)
        for name, term in self.terms.items():
            unknown = term.free_symbols - known
            if unknown:
                raise ValueError(f"terms: {name} contains {sorted(map(str, unknown))}; accepted: kernel and parameters")
        object.__setattr__(self, "terms", MappingProxyType(dict(self.terms)))

    def equations(self) -> Equations:
        """The named terms, whose sum is F."""
        return [(rf"F_\text{{{name.replace('_', ' ')}}}", term) for name, term in self.terms.items()]

    @cached_property
    def total(self) -> Expr:
        """``F``, the sum of the terms."""
        return Add(*self.terms.values())

    @property
    def energy(self) -> Expr:
        """``½ y²/(v H^{nn} + κ)``, the cost of the labels."""
        return self.terms["energy"]

    @property
    def entropy(self) -> Expr:
        """``½ tr[HC⁻¹] - n/2 - ½ ln(|H|/|C|)``, the Kullback–Leibler divergence from the random-weight kernel."""
        return self.terms["trace"] + self.terms["log_determinant"]

    @cached_property
    def _derivatives(self) -> tuple[Differentiator, ...]:
        return tuple(Differentiator(x) for x in self.variables)

    @cached_property
    def _gradient(self) -> ImmutableMatrix:
        return ImmutableMatrix([Add(*(by(term) for term in self.terms.values())) for by in self._derivatives])

    def stationarity(self) -> ImmutableMatrix:
        """``∂F/∂H^{ts}`` for each of the variables, a column; zero at a saddle point."""
        return self._gradient

    def hessian(self) -> ImmutableMatrix:
        """``∂²F/∂H^{ts}∂H^{t's'}`` over the variables; its inverse over N is the kernel's covariance at width N."""
        size = len(self.variables)
        second = Matrix.zeros(size, size)
        for i, gradient in enumerate(self._gradient):
            for j in range(i, size):
                second[i, j] = second[j, i] = self._derivatives[j](gradient)
        return ImmutableMatrix(second)

    def subs(self, values: Mapping[Symbol, Expr]) -> FreeEnergy:
        """The same free energy with some of its parameters replaced by numbers or expressions in parameters.

        Raises:
            ValueError: if a kernel entry is to be replaced.
        """
        wrong = set(values) - set(self.parameters)
        if wrong:
            raise ValueError(f"values: replaces {sorted(map(str, wrong))}; accepted: λ, κ, u, v, w")
        return FreeEnergy(
            T=self.T,
            arch=self.arch,
            kernel=self.kernel,
            covariance=self.covariance.subs(values),
            variables=self.variables,
            parameters=self.parameters,
            terms={name: term.subs(values) for name, term in self.terms.items()},
        )

    def units(self) -> FreeEnergy:
        """The free energy in units ``u = v = w = 1``."""
        return self.subs(UNITS)


def endpoint_free_energy(T: int, arch: str = "rnn") -> FreeEnergy:
    """``F(H)`` of the linear network, endpoint supervision, with the symbols λ, κ, u, v, w.

    ``C`` is block diagonal, ``u`` at ``t = 1`` and ``w[H_{1…n-1}]`` below, so that ``tr HC⁻¹`` is
    ``H^{11}/u + tr(H_{2…n} [H_{1…n-1}]⁻¹)/w`` and ``|C| = u w^{n-1} |[H_{1…n-1}]|``; inverses are adjugates over
    determinants.

    Raises:
        ValueError: if T is no integer ≥ 3, or for an unknown architecture.

    Example:
        >>> from theory.free_energy import endpoint_free_energy
        >>> len(endpoint_free_energy(4).variables)
        6
    """
    require_horizon(T, 3)
    require_architecture(arch)
    n = T - 1
    H = kernel_matrix(n)
    u, w = symbols.u, symbols.w
    later, earlier = H[1:, 1:], H[: n - 1, : n - 1]
    if arch == "rnn":
        cofactors, size = adjugate(earlier), determinant(earlier)
        trace = Add(*(later[i, j] * cofactors[i, j] for i in range(n - 1) for j in range(n - 1))) / size
    else:
        size = earlier[0, 0]
        for t in range(1, n - 1):
            size *= earlier[t, t]
        trace = Add(*(later[t, t] / earlier[t, t] for t in range(n - 1)))
    label = symbols.signal * symbols.v * w ** (T - 2) * u
    return FreeEnergy(
        T=T,
        arch=arch,
        kernel=H,
        covariance=forward_covariance(H, arch),
        variables=upper_triangle(n),
        parameters=(symbols.signal, symbols.kappa, u, symbols.v, w),
        terms={
            "energy": S.Half * label / (symbols.v * H[n - 1, n - 1] + symbols.kappa),
            "trace": S.Half * (H[0, 0] / u + trace / w) - Rational(n, 2),
            "log_determinant": -S.Half * log(determinant(H) / (u * w ** (n - 1) * size)),
        },
    )
