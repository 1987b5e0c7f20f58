"""The free energy of docs/theory.md sections 3 and 10 to 12, its derivatives, and the expansion of its minimum in Y."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from derivations.exact.request import Fields, Request, entry, fixed_horizon, requested_sharing
from derivations.exact.tasks import nearest_fraction, task_of
from numerics.errors import InputError

if TYPE_CHECKING:
    from theory.free_energy import FreeEnergy
    from theory.matrix_calculus.entrywise import ExactTask
    from theory.matrix_calculus.kernel_functional import LinearNetwork

#: Sequences of label pairs of the last order of an expansion.
MOST_PATHS = 100_000


def _endpoint_free_energy(T: int, request: Request) -> FreeEnergy:
    """F with symbolic parameters, κ and λ replaced where they were given."""
    from theory import symbols
    from theory.free_energy import endpoint_free_energy

    F = endpoint_free_energy(T, request.arch)
    put = {} if request.kappa is None else {symbols.kappa: request.kappa}
    return F.subs(put if request.signal is None else put | {symbols.signal: nearest_fraction(request.signal)})


def _matrix_form(request: Request, name: str, derive: Callable[[LinearNetwork], Any]) -> Fields:
    """A matrix expression for any n, P and supervised sets."""
    from theory.matrix_calculus import matrix_latex
    from theory.matrix_calculus.kernel_functional import SHARING, LinearNetwork, network

    weights = SHARING if request.arch == "matrix" else network(requested_sharing(request)).weights
    expression = derive(LinearNetwork(weights, request.skip, request.bias, request.outputs))
    fields: Fields = {"arch": request.arch, "skip": request.skip or None, "bias": request.bias or None}
    if weights == SHARING and request.arch != "matrix":
        found = requested_sharing(request)
        looped = f"1 if s = t mod {found.parameter}, else 0"
        fields["M_st"] = looped if found.family == "looped" else f"({found.parameter})**Abs(s - t)"
    return fields | {name: expression, "latex": matrix_latex(expression)}


def _written_out(request: Request, what: str) -> tuple[ExactTask, Fields, dict[Any, Any]]:
    """The task entry by entry, the fields that say what it is, and what was given for κ."""
    from theory import symbols

    task, shown = task_of(request, what)
    fields: Fields = {"T": task.layout.n + 1, "arch": request.arch, "skip": request.skip or None}
    fields |= {"bias": request.bias or None, **shown}
    if request.arch == "matrix":
        fields["M"] = task.sharing[1:, 1:]
    return task, fields, {} if request.kappa is None else {symbols.kappa: request.kappa}


def free_energy(request: Request) -> Fields:
    """F and its named terms; for symbolic T as matrix expressions, any supervision and inputs."""
    from sympy import Add

    if not isinstance(request.T, int):
        from theory.matrix_calculus import kernel_functional

        return _matrix_form(request, "free_energy", kernel_functional.free_energy)
    if request.plain:
        F = _endpoint_free_energy(fixed_horizon(request, "free-energy"), request)
        fields: Fields = {"T": request.T, "arch": request.arch, "variables": F.variables}
        return fields | {"terms": dict(F.terms), "free_energy": F.total}
    task, fields, put = _written_out(request, "free-energy")
    terms = {name: term.xreplace(put) for name, term in task.terms().items()}
    return fields | {"variables": task.variables, "terms": terms, "free_energy": Add(*terms.values())}


def stationarity(request: Request) -> Fields:
    """∂F/∂H for each independent entry; for symbolic T the matrix G with dF = tr(G dH)."""
    if not isinstance(request.T, int):
        from theory.matrix_calculus import kernel_functional

        return _matrix_form(request, "gradient", kernel_functional.free_energy_gradient)
    if request.plain:
        F = _endpoint_free_energy(fixed_horizon(request, "stationarity"), request)
        equations = {str(entry): condition for entry, condition in zip(F.variables, F.stationarity(), strict=True)}
        return {"T": request.T, "arch": request.arch, "equations": equations}
    task, fields, put = _written_out(request, "stationarity")
    fields |= {"variables": task.variables, **_named_matrices(task, put)}
    return fields | {"equations": {str(entry): value.xreplace(put) for entry, value in task.stationarity().items()}}


def hessian(request: Request) -> Fields:
    """The Hessian–vector product of F for any n, P and supervision; for a problem ∂²F by pairs of entries."""
    if not request.written_out:
        from theory.matrix_calculus import kernel_functional

        name = "hessian_vector_product"
        return _matrix_form(request, name, kernel_functional.free_energy_hessian_vector_product)
    task, fields, put = _written_out(request, "hessian")
    fields |= {"variables": task.variables, **_named_matrices(task, put)}
    second = {f"{first} {other}": value.xreplace(put) for (first, other), value in task.hessian().items()}
    return fields | {"second_derivatives": second}


def _named_matrices(task: ExactTask, put: dict[Any, Any]) -> Fields:
    """The matrices whose entries the derivatives are written in."""
    named: Fields = {name: value.xreplace(put) for name, value in task.definitions.items()}
    named |= {"Q": "D**(-1)", "J": "H**(-1)", "R": "Q*A*H*A.T*Q" if "A" in named else "Q*H*Q"}
    for name in [name for name in named if name.startswith("K")]:
        c = name[1:]
        named |= {f"E{c}": f"K{c}**(-1)", f"N{c}": f"E{c}*Y{c}*E{c}"}
    named |= {f"Y_{c}" if c else "Y": Y for c, Y in zip(task.network.indices, task.labels, strict=True)}
    return {"definitions": named}


def perturbation(request: Request) -> Fields:
    """The kernel order by order in Y, the time paths behind each entry, and what a sharing leaves of the RNN's."""
    from theory import symbols
    from theory.perturbation import path_shares
    from theory.perturbation import perturbation as derive

    T = fixed_horizon(request, "perturbation")
    pairs = (T - 1 if request.supervised is None else len(set(request.supervised))) ** 2
    if pairs > 1 and request.order > (largest := int(math.log(MOST_PATHS, pairs))):
        raise InputError(f"--order: is {request.order}; accepted: an integer ≤ {largest} for {pairs} pairs of labels")
    expansion = derive(T, request.arch, request.order, supervised=request.supervised)
    put = {} if request.kappa is None else {symbols.kappa: request.kappa}
    orders = []
    for k, kernel in enumerate(expansion.kernel):
        paths = expansion.paths(k) if k else {}
        fields: Fields = {
            "order": k,
            "kernel": {entry(*times): value.subs(put) for times, value in sorted(kernel.items())},
            "paths": {
                entry(*times): {str(path): path.weight.subs(put) for path in found}
                for times, found in sorted(paths.items())
            },
        }
        if k and request.arch not in ("rnn", "dnn"):
            shares = {
                entry(*times): {str(path): share.subs(put) for path, share in found.items() if share != 1}
                for times, found in path_shares(expansion.T, request.arch, k, expansion.supervised).items()
            }
            fields["shares_of_rnn"] = {times: found for times, found in shares.items() if found}
        orders.append(fields)
    return {
        "T": expansion.T,
        "arch": expansion.arch,
        "supervised": expansion.supervised,
        "propagators": {str(symbol): value.subs(put) for symbol, value in expansion.propagators.items()},
        "orders": orders,
    }


def gaussian_averages(request: Request) -> Fields:
    """Averages over a centred Gaussian pair with variances a, b and covariance c."""
    from theory.gaussian_averages import CLOSED_FORMS, average, slope_average

    return {name: {"average": average(name), "slope_average": slope_average(name)} for name in CLOSED_FORMS}
