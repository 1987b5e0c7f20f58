"""What was asked of an exact result, and what an answer is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numerics.errors import InputError

if TYPE_CHECKING:
    from sympy import Expr, Symbol

    from numerics.inputs.problem import Problem
    from theory.sharing import SharingFamily

#: A result: names and values in the order in which they are shown. Values are SymPy expressions, numbers, strings,
#: sequences or tables of these; None does not apply and is left out.
Fields = dict[str, Any]

#: Largest T for which expressions are written out entry by entry; they grow as n!, so this takes hours already.
LARGEST_T = 16


@dataclass(frozen=True)
class Request:
    """What was asked for, parsed: T is an integer or the symbol T, kappa exact, or None where it was not given.

    Without a problem it is endpoint supervision, with λ where given. Labels not given stand for themselves.
    """

    T: int | Symbol
    kappa: Expr | None
    arch: str
    order: int
    supervised: tuple[int, ...] | None
    problem: Problem | None = None
    written_out: bool = False
    signal: float | None = None
    skip: Expr | int = 0
    bias: Expr | int = 0
    outputs: int = 1
    labels_given: bool = True

    @property
    def plain(self) -> bool:
        """Endpoint supervision of the RNN or the DNN as it stands in the poster: no skip, no biases, one output."""
        one = self.skip == 0 and self.bias == 0 and self.outputs == 1
        return self.problem is None and one and self.arch in ("rnn", "dnn")

    @property
    def noise(self) -> Expr:
        """κ, 1 unless another was given, as in the other commands."""
        from sympy import Integer

        return Integer(1) if self.kappa is None else self.kappa


def fixed_horizon(request: Request, what: str) -> int:
    """T of a word whose expressions are written out entry by entry."""
    if not isinstance(request.T, int):
        raise InputError(f"--T: is symbolic; accepted: an integer for {what}")
    if request.T > LARGEST_T:
        raise InputError(f"--T: is {request.T}; accepted: an integer ≤ {LARGEST_T} for {what}")
    return request.T


def bounded_horizon(request: Request, what: str) -> None:
    """Refuse a T for which the sums of a word take too long."""
    from theory.kernel import LONGEST_SUM

    if isinstance(request.T, int) and request.T > LONGEST_SUM:
        raise InputError(f"--T: is {request.T}; accepted: an integer ≤ {LONGEST_SUM}, or symbolic, for {what}")


def requested_sharing(request: Request) -> SharingFamily:
    """The architecture that was asked for."""
    from theory.sharing import sharing

    try:
        return sharing(request.arch)
    except ValueError as error:
        raise InputError(f"--{error}") from None


def only_four(request: Request, what: str) -> None:
    """Refuse all but the RNN at T = 4, whose coherent branch is a rational curve."""
    if request.T != 4:
        raise InputError(f"--T: is {request.T}; accepted: 4 for {what}")
    if request.arch != "rnn":
        raise InputError(f"--arch: is {request.arch}, which has no coherent branch; accepted: rnn")


def as_float(expression: Expr) -> float | None:
    """The number, or None where symbols are left."""
    return None if expression.free_symbols else float(expression.evalf(20))


def entry(t: int, s: int) -> str:
    """The name of a kernel entry: ``12``, or ``1,12``."""
    return f"{t}{s}" if max(t, s) < 10 else f"{t},{s}"


def one_entry(fields: Fields, times: tuple[int, ...]) -> Fields:
    """An expansion's fields with one kernel entry of each order, (t, t') or (t', t), and its paths.

    Raises:
        InputError: times that are no two hidden times.
    """
    from sympy import Integer

    n = fields["T"] - 1
    if len(times) != 2 or not all(1 <= t <= n for t in times):
        given = ",".join(map(str, times))
        raise InputError(f"--entry: is {given}; accepted: two hidden times from 1 to {n}, such as {n - 1},{n}")
    name = entry(*sorted(times))
    orders = []
    for order in fields["orders"]:
        tables = {key: table for key, table in order.items() if isinstance(table, dict)}
        own = {key: {k: v for k, v in table.items() if k == name} for key, table in tables.items()}
        orders.append(order | own | {"kernel": {name: order["kernel"].get(name, Integer(0))}})
    return fields | {"orders": orders}
