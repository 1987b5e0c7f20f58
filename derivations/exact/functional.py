"""The free energy of docs/theory.md section 3, its derivatives, and the expansion of its minimum in Y."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivations.exact.request import Fields, Request, entry, fixed_horizon

if TYPE_CHECKING:
    from theory.free_energy import FreeEnergy


def _endpoint_free_energy(T: int, request: Request) -> FreeEnergy:
    """F with symbolic parameters, κ replaced where one was given."""
    from theory import symbols
    from theory.free_energy import endpoint_free_energy

    F = endpoint_free_energy(T, request.arch)
    return F if request.kappa is None else F.subs({symbols.kappa: request.kappa})


def free_energy(request: Request) -> Fields:
    """F and its named terms; for symbolic T as matrix expressions, any supervision and inputs."""
    if not isinstance(request.T, int):
        from theory.matrix_calculus import kernel_functional, matrix_latex

        F = kernel_functional.free_energy(request.arch)
        return {"arch": request.arch, "free_energy": F, "latex": matrix_latex(F)}
    F = _endpoint_free_energy(fixed_horizon(request, "free-energy"), request)
    return {
        "T": request.T,
        "arch": request.arch,
        "variables": F.variables,
        "terms": dict(F.terms),
        "free_energy": F.total,
    }


def stationarity(request: Request) -> Fields:
    """∂F/∂H for each independent entry; for symbolic T the matrix G with dF = tr(G dH)."""
    if not isinstance(request.T, int):
        from theory.matrix_calculus import kernel_functional, matrix_latex

        G = kernel_functional.free_energy_gradient(request.arch)
        return {"arch": request.arch, "gradient": G, "latex": matrix_latex(G)}
    F = _endpoint_free_energy(fixed_horizon(request, "stationarity"), request)
    equations = {str(entry): condition for entry, condition in zip(F.variables, F.stationarity(), strict=True)}
    return {"T": request.T, "arch": request.arch, "equations": equations}


def hessian(request: Request) -> Fields:
    """The Hessian–vector product of F as a matrix expression, for any n, P and supervision."""
    from theory.matrix_calculus import kernel_functional, matrix_latex

    product = kernel_functional.free_energy_hessian_vector_product(request.arch)
    return {"arch": request.arch, "hessian_vector_product": product, "latex": matrix_latex(product)}


def perturbation(request: Request) -> Fields:
    """The kernel order by order in Y, and the time paths behind each entry."""
    from theory import symbols
    from theory.perturbation import perturbation as derive

    expansion = derive(
        fixed_horizon(request, "perturbation"), request.arch, request.order, supervised=request.supervised
    )
    put = {} if request.kappa is None else {symbols.kappa: request.kappa}
    orders = []
    for k, kernel in enumerate(expansion.kernel):
        paths = expansion.paths(k) if k else {}
        orders.append(
            {
                "order": k,
                "kernel": {entry(*times): value.subs(put) for times, value in sorted(kernel.items())},
                "paths": {
                    entry(*times): {str(path): path.weight.subs(put) for path in found}
                    for times, found in sorted(paths.items())
                },
            }
        )
    return {
        "T": expansion.T,
        "arch": expansion.arch,
        "supervised": expansion.supervised,
        "propagators": {str(symbol): value.subs(put) for symbol, value in expansion.propagators.items()},
        "orders": orders,
    }


def gaussian_averages(request: Request) -> Fields:
    """Averages over a centred Gaussian pair with variances a, b and covariance c."""
    from theory.gaussian_averages import ACTIVATIONS, average, slope_average

    return {name: {"average": average(name), "slope_average": slope_average(name)} for name in ACTIVATIONS}
