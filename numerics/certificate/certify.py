"""Proof in ball arithmetic that a true stationary kernel lies next to a computed one, for any small linear problem.

Krawczyk's test: with x̂ the independent entries of a kernel in the frame of ``numerics.certificate.balls``, X a box
around it, g the gradient of F and Y an approximate inverse of its derivative, if

``K(X) = x̂ - Y g(x̂) + (1 - Y ∂g(X)) (X - x̂)``

lies inside X, then X holds exactly one zero of g, and it lies in K(X) (Krawczyk 1969; Neumaier 1990, section 5.1).
The signature is read off ``VᵀHV``, H the Hessian over the whole of X and V its centre's approximate eigenvectors: by
Gershgorin's circles, which exclude 0, and Sylvester's law. Every number is a ball that contains the exact value, so
rounding is part of the proof. Needs python-flint (the extra ``certify``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numerics.certificate.balls import BallFunctional, BallPoint, ExactSpace, ball_matrix, exact_space, flint_module
from numerics.display import Facts
from numerics.errors import InputError
from numerics.inputs.arguments import of_state
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Working precision in bits, and the box's half-width in the frame: small against 1, large against rounding.
BITS, HALF_WIDTH = 256, 1e-20
#: Corrections of the centre before the test, each of which gains the digits of the approximate inverse, and their goal.
CORRECTIONS, CORRECTED = 12, 1e-40
#: Frames that are tried until the corrections converge.
FRAMES = 4
#: A proved kernel further than this from the returned one, relative, is not the returned one.
FURTHEST = 1e-7
#: Most rows of the unknown matrix: its Hessian in balls has (m(m+1)/2)² entries.
LARGEST_PROVED = 24


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Result):
    """What has been proved.

    Attributes:
        solution: the state it is about.
        proved: whether a stationary kernel was proved, with a Hessian as the solution says; if not, nothing is claimed.
        radius: every entry of the returned kernel is within this of a true stationary kernel's, relative to
            ``√(H^{tt}H^{ss})``.
        negative: number of negative eigenvalues of the Hessian at the true kernel; 0 for a minimum.
        free_energy: lower and upper bound of F there.
        digits: the kernel's independent entries as decimal balls ``mid ± radius``, row by row.
        status: one sentence.
    """

    solution: Solution
    proved: bool
    radius: float
    negative: int
    free_energy: tuple[float, float]
    digits: tuple[str, ...]
    status: str

    def facts(self) -> Facts:
        """What has been proved."""
        if not self.proved:
            return (("proved", "nothing"), ("status", self.status))
        low, high = self.free_energy
        return (
            ("proved", f"a stationary kernel within {self.radius:.1e}, negative eigenvalues: {self.negative}"),
            ("free energy", f"from {low:.17g} to {high:.17g}"),
            ("status", self.status),
        )

    def matrix(self) -> FloatArray:
        """The kernel."""
        return self.solution.kernel

    def matrix_patterns(self) -> int:
        """P."""
        return self.solution.problem.P

    def draw(self, ax: Any, **style: Any) -> None:
        """The kernel as colours, with what is proved of it."""
        self.solution.draw(ax, **style)
        ax.set_title(f"proved within {self.radius:.0e}" if self.proved else "not proved", loc="left")

    def labelled(self) -> Arrays:
        """The state's, with what is proved of it."""
        arrays = self.solution.labelled()
        low, high = self.free_energy
        proved = {"proved": str(self.proved), "radius": self.radius, "negative": self.negative, "status": self.status}
        bounds = {"free_energy_lower": low, "free_energy_upper": high}
        return replace(arrays, attributes={**arrays.attributes, **proved, **bounds})


@of_state
@one_thread
def certify(solution: Solution, *, progress: bool | Progress | None = None) -> Certificate:
    """Prove that a stationary point of F lies at the solution, that it is the only one nearby, and its signature.

    The problem's numbers (x, y, u, v, w, κ) are taken as the exact binary fractions that they are. `progress` is as in
    `numerics.solve`.

    Raises:
        InputError: the activation is not linear, the unknown matrix has more than ``LARGEST_PROVED`` rows, or
            python-flint is not installed.

    Example:
        >>> import unrolled
        >>> proof = unrolled.certify(unrolled.solve(unrolled.endpoint(T=4, signal=20.0)))
        >>> proof.status.startswith("Proved: a minimum")
        True
    """
    flint = flint_module()
    space = certifiable(solution.problem)
    if not solution.converged:
        return _not_proved(solution, f"the solution has not converged (relative residual {solution.residual:.1e})")
    with watched(progress, "proof"), flint.ctx.workprec(BITS):
        try:
            return _proof(solution, space)
        except ZeroDivisionError:
            return _not_proved(solution, "a matrix may be singular within the box")


def certifiable(problem: Problem) -> ExactSpace:
    """The exact space of a problem's kernels, if its states can be certified at all.

    Raises:
        InputError: as for ``certify``.
    """
    if problem.activation.name != "linear":
        raise InputError(f"activation: is {problem.activation.name!r}; accepted: linear, for certificates")
    space = exact_space(problem)
    if space.size > LARGEST_PROVED:
        raise InputError(
            f"problem: has {space.size} unknown kernel rows; accepted: at most {LARGEST_PROVED} for certificates"
        )
    return space


def _not_proved(solution: Solution, reason: str) -> Certificate:
    return Certificate(solution, False, np.inf, -1, (-np.inf, np.inf), (), f"Not proved: {reason}.")


def _proof(solution: Solution, space: ExactSpace) -> Certificate:
    flint = flint_module()
    try:
        L = _frame(solution.kernel, space)
    except np.linalg.LinAlgError:
        return _not_proved(solution, "the kernel of independent rows is singular to rounding")
    for _ in range(FRAMES):
        functional = BallFunctional.around(solution.problem, space, L)
        inverse = _approximate_inverse(functional.at(_identity(functional)).hessian())
        if inverse is None:
            return _not_proved(solution, "the Hessian is singular to rounding")
        centre, converged = _corrected(functional, inverse)
        if converged:
            break
        # the kernel's own digits are too few for its factor, as under strong signals: correct the factor
        try:
            L = L @ np.linalg.cholesky(_centres(_matrix(functional, centre)))
        except np.linalg.LinAlgError:
            return _not_proved(solution, "corrections do not converge to a kernel nearby")
    else:
        return _not_proved(solution, "corrections do not converge to a kernel nearby")
    spread = flint.arb_mat([[flint.arb(0, HALF_WIDTH)] for _ in functional.pairs])
    over_box = functional.at(_matrix(functional, centre + spread)).hessian()
    gradient = _entries(functional, functional.at(_matrix(functional, centre)).gradient())
    unit = flint.arb_mat(np.eye(spread.nrows()).tolist())
    image = centre - inverse * gradient + (unit - inverse * over_box) * spread
    box = centre + spread
    if not all(box[k, 0].contains_interior(image[k, 0]) for k in range(box.nrows())):
        return _not_proved(solution, "the box does not contract, as where the Hessian is singular")
    negative = _negative(functional, over_box)
    if negative is None:
        return _not_proved(solution, "an eigenvalue of the Hessian may be zero")
    if _negative_circles(_matrix(functional, image)) != 0:
        return _not_proved(solution, "the kernel may not be positive-definite")
    point = functional.at(_matrix(functional, image))
    return _certificate(solution, space, point, negative)


def _certificate(solution: Solution, space: ExactSpace, point: BallPoint, negative: int) -> Certificate:
    """The proved point against what the solution says of itself."""
    flint, L = flint_module(), point.functional.L
    basis = ball_matrix(space.basis)
    kernel = basis * (L * point.H * L.transpose()) * basis.transpose()
    size = np.sqrt(np.diagonal(solution.kernel))
    rows, columns = np.triu_indices(len(solution.kernel))
    entries = [kernel[int(i), int(j)] for i, j in zip(rows, columns, strict=True)]
    offsets = [
        float((abs(entry - flint.arb(float(value))) / scale).upper())
        for entry, value, scale in zip(entries, solution.kernel[rows, columns], size[rows] * size[columns], strict=True)
        if scale > 0
    ]
    radius = float(np.nextafter(max(offsets), np.inf))
    if not radius <= FURTHEST:
        return _not_proved(solution, f"the stationary kernel next to the returned one is {radius:.1e} away, relative")
    if solution.stable != (negative == 0):
        said = "a minimum" if solution.stable else "no minimum"
        count = f"{negative} negative eigenvalue{'s' * (negative != 1)}"
        return _not_proved(solution, f"the solution says {said}, but the Hessian there has {count}")
    F = point.free_energy()
    kind = "a minimum" if negative == 0 else f"a saddle point with {negative} negative eigenvalue{'s' * (negative > 1)}"
    return Certificate(
        solution,
        proved=True,
        radius=radius,
        negative=negative,
        free_energy=(float(np.nextafter(float(F.lower()), -np.inf)), float(np.nextafter(float(F.upper()), np.inf))),
        digits=tuple(entry.str(40) for entry in entries),
        status=f"Proved: {kind} within {radius:.1e} of the returned kernel, relative to √(H^tt H^ss).",
    )


# --- the frame, and vectors of independent entries --------------------------------------------------------------------


def _frame(kernel: FloatArray, space: ExactSpace) -> FloatArray:
    """A Cholesky factor of the computed kernel in the exact basis; its rounding does not matter, it is the frame."""
    reduced = kernel[np.ix_(space.rows, space.rows)]
    return np.asarray(np.linalg.cholesky(0.5 * (reduced + reduced.T)))


def _identity(functional: BallFunctional) -> Any:
    return flint_module().arb_mat(np.eye(functional.size).tolist())


def _matrix(functional: BallFunctional, entries: Any) -> Any:
    """The symmetric matrix of a column of independent entries."""
    H = flint_module().arb_mat(functional.size, functional.size)
    for k, (i, j) in enumerate(functional.pairs):
        H[i, j] = H[j, i] = entries[k, 0]
    return H


def _entries(functional: BallFunctional, H: Any) -> Any:
    """The column of a symmetric matrix's independent entries."""
    return flint_module().arb_mat([[H[i, j]] for i, j in functional.pairs])


def _centres(matrix: Any) -> FloatArray:
    return np.array([[float(entry.mid()) for entry in row] for row in matrix.tolist()])


def _approximate_inverse(matrix: Any) -> Any | None:
    """The inverse at the centre, exact numbers: any serves the proof, a bad one makes it fail."""
    try:
        inverse = matrix.mid().inv().mid()
    except ZeroDivisionError:
        return None
    return inverse if np.isfinite(_centres(inverse)).all() else None


def _corrected(functional: BallFunctional, inverse: Any) -> tuple[Any, bool]:
    """Newton's corrections with a fixed inverse from ``Ĥ = 1``: exact entries, and whether they converge."""
    centre = _entries(functional, _identity(functional))
    for _ in range(CORRECTIONS):
        gradient = _entries(functional, functional.at(_matrix(functional, centre)).gradient())
        change = (inverse * gradient).mid()
        centre = (centre - change).mid()
        size = max(abs(float(change[k, 0])) for k in range(change.nrows()))
        if size < CORRECTED:
            return centre, True
        if not size < 1.0:
            break
    return centre, False


def _negative(functional: BallFunctional, derivative: Any) -> int | None:
    """Negative eigenvalues of every Hessian in a matrix of balls; None where a sign is not certain."""
    flint = flint_module()
    # the derivative of ∂F/∂H_ij by independent entries counts each i ≠ j once; the quadratic form counts it twice
    weights = [1 if i == j else 2 for i, j in functional.pairs]
    hessian = flint.arb_mat([[w * entry for entry in row] for w, row in zip(weights, derivative.tolist(), strict=True)])
    centre = _centres(hessian)
    frame = flint.arb_mat(np.linalg.eigh(0.5 * (centre + centre.T))[1].tolist())
    return _negative_circles(frame.transpose() * hessian * frame)


def _negative_circles(matrix: Any) -> int | None:
    """Gershgorin's circles to the left of 0 of a symmetric matrix; None where one may hold 0."""
    flint, negative = flint_module(), 0
    for k, row in enumerate(matrix.tolist()):
        others = sum((abs(entry) for j, entry in enumerate(row) if j != k), flint.arb(0))
        if not abs(row[k]) > others:
            return None
        negative += bool(row[k] < 0)
    return negative
