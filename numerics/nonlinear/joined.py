"""A test pattern joined with the training patterns of a nonlinear state: their kernel, and its terms of order 1/N.

A test pattern is an unsupervised pattern of the joint kernel, on which nothing pulls: its entries of Φ̃ are zero
(docs/theory.md section 6), and the law of the training patterns' kernel at width N is the marginal of the joint one
(docs/theory.md section 13). Given a trajectory g of the training patterns, the joint one is Gaussian, so that points
of the tilted law of g, each with random numbers for the rest and their negatives, are points of the joint law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.errors import NotSolvedError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.nonlinear.fluctuations import Fluctuations, by_sampling
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.nodes import Nodes, log_density
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space
from numerics.nonlinear.trajectories import StateAverage, state_average

#: Most multiplications for all test patterns: about a minute.
MOST_WORK = 1e12


@dataclass(frozen=True, eq=False)
class Joined:
    """The training patterns, and one test pattern after them.

    Attributes:
        problem: of all patterns.
        kernel: Φ, (n(P+1), n(P+1)).
        fluctuations: at this kernel.
    """

    problem: Problem
    kernel: FloatArray
    fluctuations: Fluctuations


def joined_patterns(solution: NonlinearSolution) -> list[Joined]:
    """Each of the problem's test patterns with the training patterns.

    Raises:
        NotSolvedError: the points are too few for the joint kernels, or the patterns too many.
    """
    assert solution.problem.x_test is not None
    at = state_average(solution)
    rows = at.space.m + solution.problem.n
    work = len(solution.problem.x_test) * 4.0 * len(at.nodes.points) * float(rows * (rows + 1)) ** 2
    if work > MOST_WORK:
        count = len(solution.problem.x_test)
        raise NotSolvedError(f"{count} test patterns beside {at.space.m} kernel rows would take too long")
    rng = np.random.default_rng((0, 1))
    try:
        return [_joined(solution, at, x, rng) for x in solution.problem.x_test]
    except np.linalg.LinAlgError as error:
        raise NotSolvedError("the points do not tell the fluctuations of the test patterns' kernel") from error


def _joined(solution: NonlinearSolution, at: StateAverage, x: FloatArray, rng: np.random.Generator) -> Joined:
    problem, trained = solution.problem, at.space
    whole = problem.with_unlabelled(x[None])
    space, places = trajectory_space(whole), _places(problem)
    classes, size = space.classes, whole.n * whole.P
    conjugate = np.zeros((size, size))
    conjugate[np.ix_(places, places)] = solution.conjugate
    conjugate = classes.gathered(conjugate)
    hidden = classes.expand_rows(space.embedding.T).T[places]  # of the training patterns, of g
    project = trained.inverse_embedding @ hidden[trained.classes.representative]
    p = np.tile(at.point.average.probability, 2) / 2
    noise = rng.standard_normal((len(at.nodes.points), space.d))
    kernel = forward_kernel(space, whole.activation)
    for _ in range(whole.n):  # each time follows from the ones before
        kernel = _with_training(kernel, solution, space, places)
        points = _points(space.covariance(kernel), project, at.nodes.points, noise)
        activity = whole.activation.value(points @ space.embedding.T)
        kernel = (activity * p[:, None]).T @ activity
    kernel = _with_training(kernel, solution, space, places)
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    nodes = Nodes(points, activity, log_p)
    nodes = Nodes(points, activity, log_p - log_density(nodes, space.covariance(kernel), conjugate))
    return Joined(whole, classes.expand(kernel), by_sampling(space, nodes, kernel, conjugate))


def _places(problem: Problem) -> IntArray:
    """Positions of the training patterns among all, (nP,)."""
    t, q = np.divmod(np.arange(problem.n * problem.P), problem.P)
    return np.asarray(t * (problem.P + 1) + q, dtype=np.intp)


def _with_training(
    kernel: FloatArray, solution: NonlinearSolution, space: TrajectorySpace, places: IntArray
) -> FloatArray:
    """The joint kernel of rows with the training patterns' entries those of the state."""
    known = np.isin(space.classes.representative, places)
    own = np.searchsorted(places, space.classes.representative[known])
    found = kernel.copy()
    found[np.ix_(known, known)] = solution.kernel[np.ix_(own, own)]
    return found


def _points(C: FloatArray, project: FloatArray, given: FloatArray, noise: FloatArray) -> FloatArray:
    """Joint trajectories for trajectories of the training patterns: with noise, and with its negative, (2K, d)."""
    gain = np.linalg.solve(project @ C @ project.T, project @ C).T
    size, frame = np.linalg.eigh(C - gain @ project @ C)
    mean, off = given @ gain.T, noise @ (frame * np.sqrt(np.maximum(size, 0.0))).T
    return np.concatenate([mean + off, mean - off])
