r"""The linear network's kernel free energy as one matrix expression, for symbolic n, P and supervised sets.

Any weight sharing, skip connection, biases and outputs (docs/theory.md sections 3 and 10 to 12). With the symmetric
sharing matrix M over times, Σ the shift by one time and ``A = 1 - aΣ``, the drive ``A h`` of a neuron has covariance

``D = w M∘H⁻ + uX⁻ + βB``, and its trajectory ``C = A⁻¹DA⁻ᵀ``:

``F(H) = ½ Σ_c tr[Y_c (v 𝒯_cH𝒯_cᵀ + κ)^{-1}] + ½ tr[H C^{-1}] - ½ ln|H| + ½ ln|C|``.

``C⁻¹ = AᵀD⁻¹A`` and ``|A| = 1``, so that only D is inverted. H, X⁻ and B are nP × nP (``B^{tt'}_{pp'} = B_tt'``,
the same for all patterns), Y_c is m_c × m_c for the m_c supervised pairs (t, p) of output c; all are symmetric.
``M_tt'`` is the correlation of ``W^(t-1)`` and ``W^(t'-1)``, t, t' ≥ 2; its first row and column meet zeros of H⁻.

For inputs of rank r < P the same expressions hold in the r-dimensional input space: r takes the place of P,
and ``𝒯`` is the m × nr matrix that maps the reduced kernel to the supervised pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sympy import Add, Identity, Inverse, MatMul, OneMatrix, S, Trace

from theory.matrix_calculus.differential import differential, gradient
from theory.matrix_calculus.nodes import LogDet, Mask, Restrict, Shift, Step, SymmetricSymbol, transposed
from theory.sharing import DNN, RNN, SharingFamily, sharing
from theory.symbols import P, beta, kappa, n, skip, supervised_rows, u, v, w

#: Kernel, its change in a Hessian–vector product, and shifted input kernel.
H = SymmetricSymbol("H", n * P)
dH = SymmetricSymbol("dH", n * P)
X_SHIFTED = SymmetricSymbol("X", n * P)
#: Correlations of the biases in the joint index, and sharing matrix over times.
BIASES = SymmetricSymbol("B", n * P)
SHARING = SymmetricSymbol("M", n)


def labels(output: int = 0) -> Any:
    """``Y_c = y_c y_cᵀ`` of output c = 1, 2, …; Y of the only one."""
    return SymmetricSymbol(f"Y_{output}" if output else "Y", supervised_rows(output))


#: The label outer product of a single output.
Y = labels()


@dataclass(frozen=True)
class LinearNetwork:
    """What the free energy of a linear network depends on, beside its task and widths.

    Attributes:
        weights: M over times, (n, n): ones (RNN), the identity (DNN), sums of these, or a symbol.
        skip, bias: a and β, 0 for none.
        outputs: their number O.
    """

    weights: Any
    skip: Any = S.Zero
    bias: Any = S.Zero
    outputs: int = 1

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise ValueError(f"outputs: is {self.outputs}; accepted: an integer ≥ 1")

    @property
    def indices(self) -> tuple[int, ...]:
        """c of each output; 0 for the only one."""
        return tuple(range(1, self.outputs + 1)) if self.outputs > 1 else (0,)


#: Any M, a and β.
GENERAL = LinearNetwork(SHARING, skip, beta)


def network(arch: str | SharingFamily | LinearNetwork) -> LinearNetwork:
    """The network without skip and biases that a word names.

    The correlations of ``shared:ρ`` are ``ρ 11ᵀ + (1-ρ) 1``; those of ``drift:ρ`` and ``looped:p`` stay the symbol M,
    whose entries are `SharingFamily.correlation`.

    Raises:
        ValueError: one line, for any other word.
    """
    if isinstance(arch, LinearNetwork):
        return arch
    found = arch if isinstance(arch, SharingFamily) else sharing(arch)
    if found == RNN:
        return LinearNetwork(OneMatrix(n, n))
    if found == DNN:
        return LinearNetwork(Identity(n))
    if found.family == "shared":
        return LinearNetwork(found.parameter * OneMatrix(n, n) + (1 - found.parameter) * Identity(n))
    return LinearNetwork(SHARING)


def drive_covariance(arch: str | LinearNetwork) -> Any:
    """``D = w M∘H⁻ + uX⁻ + βB``, the covariance of ``W h + U x + b``."""
    net = network(arch)
    inputs = u * X_SHIFTED if net.bias == 0 else u * X_SHIFTED + net.bias * BIASES
    return w * Mask(Shift(H), net.weights) + inputs


def skip_matrix(arch: str | LinearNetwork) -> Any:
    """``A = 1 - aΣ``: ``A h`` is what drives h."""
    net = network(arch)
    return Identity(n * P) if net.skip == 0 else Identity(n * P) - net.skip * Step(n * P)


def forward_covariance(arch: str | LinearNetwork) -> Any:
    """``C[H] = A⁻¹DA⁻ᵀ``, the covariance of one neuron's trajectory; D where nothing skips."""
    A, D = skip_matrix(arch), drive_covariance(arch)
    return D if isinstance(A, Identity) else MatMul(Inverse(A), D, Inverse(transposed(A)))


def propagator(output: int = 0) -> Any:
    """``(v 𝒯_cH𝒯_cᵀ + κ)^{-1}``, m_c × m_c: what the likelihood inverts."""
    rows = supervised_rows(output)
    return Inverse(v * Restrict(H, rows, output) + kappa * Identity(rows))


def free_energy_terms(arch: str | LinearNetwork) -> dict[str, Any]:
    """The energy, ``½ tr[HC⁻¹]`` and ``-½ ln(|H|/|C|)``: sums of constants times ``Trace`` and ``LogDet``."""
    net = network(arch)
    A, D = skip_matrix(net), drive_covariance(net)
    driven = H if isinstance(A, Identity) else MatMul(A, H, transposed(A))
    return {
        "energy": Add(*(S.Half * Trace(labels(c) * propagator(c)) for c in net.indices)),
        "trace": S.Half * Trace(driven * Inverse(D)),
        "log_determinant": -S.Half * LogDet(H) + S.Half * LogDet(D),
    }


def free_energy(arch: str | LinearNetwork) -> Any:
    """F(H), the sum of its terms."""
    return Add(*free_energy_terms(arch).values())


@cache
def free_energy_gradient(arch: str | LinearNetwork) -> Any:
    """The symmetric G with ``dF = tr[G dH]``; stationarity is ``G = 0``."""
    return gradient(free_energy(arch), H)


@cache
def free_energy_hessian_vector_product(arch: str | LinearNetwork) -> Any:
    """The change of G when H changes by the symmetric ``dH``."""
    return differential(free_energy_gradient(arch), H, dH)


def fold(expression: Any, arch: str | LinearNetwork) -> tuple[Any, dict[Any, Any]]:
    """The expression with the matrices that it inverts as symbols, and what the symbols stand for.

    These are C, or ``A`` and ``D`` where there is a skip connection, and ``K_c = v 𝒯_cH𝒯_cᵀ + κ``.
    """
    net = network(arch)
    A = skip_matrix(net)
    definitions = {}
    if isinstance(A, Identity):
        definitions[SymmetricSymbol("C", n * P)] = drive_covariance(net)
    else:
        definitions[SymmetricSymbol("D", n * P)] = drive_covariance(net)
    for c in net.indices:
        definitions[SymmetricSymbol(f"K_{c}" if c else "K", supervised_rows(c))] = propagator(c).arg
    return expression.xreplace({value: name for name, value in definitions.items()}), definitions
