"""The lowest free energy of a nonlinear network by a second route, which shares nothing with the package.

For any law q of one neuron's trajectory h, ``F(q) = ½ yᵀ(v𝒯Φ𝒯ᵀ+κ)⁻¹y + KL(q ‖ N(0, C[Φ]))`` with ``Φ = ⟨φφᵀ⟩_q`` is at
least the lowest F of docs/theory.md section 4. Here q is taken from ``exp(-½ hᵀAh + φᵀBφ)``, which contains every
state, and SciPy's L-BFGS minimises over (A, B) on weighted points, from many starts. What it has found is evaluated on
fresh points: that value bounds the lowest F from above however it was found, but for its standard error.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import erf, gammaln
from scipy.stats import qmc
from scipy.stats import t as student

ACTIVATIONS = {"erf": lambda h: erf(np.sqrt(np.pi) / 2 * h), "tanh": np.tanh, "relu": lambda h: np.maximum(h, 0.0)}
FREEDOM, WIDER = 5, 1.15


class Laws:
    """F(q) with its gradient on one set of random numbers; for inputs of full rank."""

    def __init__(self, problem, points, seed):
        self.problem, self.d = problem, problem.n * problem.P
        self.phi = ACTIVATIONS[problem.activation.name]
        self.odd = problem.activation.name != "relu"
        x = problem.x.transpose(1, 0, 2).reshape(self.d, -1)
        self.inputs = problem.u * x @ x.T / problem.D
        times = np.arange(self.d) // problem.P
        self.mask = np.ones((self.d,) * 2) if problem.arch == "rnn" else (times[:, None] == times) * 1.0
        rng = np.random.default_rng(seed)
        u = qmc.Halton(self.d, scramble=True, rng=rng).random(points)
        z = student.ppf(u, FREEDOM)  # each coordinate for itself: heavy tails along the axes
        self.z = z if self.odd else np.concatenate([z, -z])
        one = gammaln((FREEDOM + 1) / 2) - gammaln(FREEDOM / 2) - 0.5 * np.log(FREEDOM * np.pi)
        self.log_q = np.sum(one - (FREEDOM + 1) / 2 * np.log1p(self.z**2 / FREEDOM), axis=1)

    def covariance(self, kernel):
        P, C = self.problem.P, self.inputs.copy()
        C[P:, P:] += self.problem.w * (self.mask * kernel)[:-P, :-P]
        return C

    def place(self, mean, covariance):
        L = WIDER * np.linalg.cholesky(covariance)
        h = mean + self.z @ L.T
        return h, self.phi(h), self.log_q - np.linalg.slogdet(L)[1]

    def free_energy(self, placed, A, B):
        """F, its derivatives by A and B, mean and covariance of h, Φ and the weights."""
        problem, (h, phi, log_q) = self.problem, placed
        P, rows, y = problem.P, problem.supervised, problem.labels
        exponent = np.sum((phi @ B) * phi, axis=1) - 0.5 * np.sum((h @ A) * h, axis=1)
        top = (exponent - log_q).max()
        p = np.exp(exponent - log_q - top)
        log_Z = top + np.log(p.mean())
        p /= p.sum()
        kernel, second = (phi * p[:, None]).T @ phi, (h * p[:, None]).T @ h
        C = self.covariance(kernel)
        inverse = np.linalg.inv(C)
        dual = np.linalg.solve(problem.v * kernel[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows)), y)
        log_normal = -0.5 * np.sum(inverse * second) - 0.5 * np.linalg.slogdet(2 * np.pi * C)[1]
        F = 0.5 * y @ dual + p @ exponent - log_Z - log_normal
        # dF/dp of a point: ln q - ln N - φᵀ(conjugate)φ, up to a constant
        conjugate = np.zeros_like(kernel)
        conjugate[:-P, :-P] = problem.w / 2 * (self.mask[:-P, :-P] * (inverse @ second @ inverse - inverse)[P:, P:])
        conjugate[np.ix_(rows, rows)] += problem.v / 2 * np.outer(dual, dual)
        D = exponent + 0.5 * np.sum((h @ inverse) * h, axis=1) - np.sum((phi @ conjugate) * phi, axis=1)
        pD = p * (D - p @ D)
        mean = np.zeros(self.d) if self.odd else p @ h
        slopes = (-0.5 * (h * pD[:, None]).T @ h, (phi * pD[:, None]).T @ phi)
        return F, slopes, mean, second - np.outer(mean, mean), kernel, p

    def prior(self):
        """C of the random network, time by time."""
        P, kernel = self.problem.P, np.zeros((self.d,) * 2)
        rng = np.random.default_rng(0)
        for last in range(P, self.d + 1, P):
            C = self.covariance(kernel)[:last, :last]
            h = rng.standard_normal((20_000, last)) @ np.linalg.cholesky(C).T
            h = np.concatenate([h, -h])
            kernel[:last, :last] = self.phi(h).T @ self.phi(h) / len(h)
        return self.covariance(kernel)

    def minimised(self, covariance, rounds=14, steps=25):
        """(A, B) where L-BFGS ends, on points that are placed anew in each round, with its mean and covariance."""
        A, B = np.linalg.inv(covariance), np.zeros((self.d,) * 2)
        mean, last = np.zeros(self.d), np.inf
        for _ in range(rounds):
            placed = self.place(mean, covariance)
            try:
                F, _, _, _, kernel, p = self.free_energy(placed, A, B)
            except np.linalg.LinAlgError:
                break
            left = np.linalg.inv(np.linalg.cholesky(covariance)).T  # A = left a leftᵀ: of order 1
            size = 1 / np.sqrt(np.diag(kernel))
            enough = 0.5 / np.sum(p**2)

            def objective(x, placed=placed, left=left, size=size, enough=enough):
                a, b = x.reshape(2, self.d, self.d)
                try:
                    F, (by_A, by_B), _, _, _, p = self.free_energy(placed, left @ a @ left.T, b * np.outer(size, size))
                except np.linalg.LinAlgError:
                    return 1e10, np.zeros_like(x)
                if not np.isfinite(F) or 1 / np.sum(p**2) < enough:  # on few points F means nothing
                    return 1e10, np.zeros_like(x)
                return F, np.concatenate([(left.T @ by_A @ left).ravel(), (by_B * np.outer(size, size)).ravel()])

            inverse = np.linalg.inv(left)
            x = np.concatenate([(inverse @ A @ inverse.T).ravel(), (B / np.outer(size, size)).ravel()])
            found = minimize(objective, x, jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxls": 30})
            a, b = found.x.reshape(2, self.d, self.d)
            A, B = left @ a @ left.T, b * np.outer(size, size)
            try:
                F, _, mean, covariance, _, _ = self.free_energy(placed, A, B)
                np.linalg.cholesky(covariance)
            except np.linalg.LinAlgError:
                break
            if abs(last - F) < 1e-4 * (1 + abs(F)):
                break
            last = F
        return A, B, mean, covariance


def starts(laws, rng, count):
    """Covariances of h: the random network's, and such with a random common part that grows towards the labels."""
    C, problem = laws.prior(), laws.problem
    yield C
    times = np.arange(laws.d) // problem.P
    label = np.zeros(laws.d)
    for t in reversed(range(problem.n)):  # each pattern's next label; a random size beyond its last
        for p in range(problem.P):
            y = problem.y[p, t]
            label[t * problem.P + p] = y if np.isfinite(y) else label[min(t + 1, problem.n - 1) * problem.P + p]
    for number in range(count):
        reach = (times + 1) / problem.n
        top = np.abs(label) * rng.uniform(0.2, 1.2) / np.sqrt(problem.v)
        common = np.sqrt(np.diag(C)) ** (1 - reach) * np.maximum(top, 0.1) ** reach * np.sign(label + 1e-9)
        common *= rng.choice([1, 1, 1, -1], size=problem.n)[times]
        outer = np.outer(common, common)
        yield C + outer * (1.0 if number % 2 == 0 else times[:, None] == times)


@np.errstate(all="ignore")  # a step that is far too long is refused by its value
def lowest(problem, *, points=1024, count=4, seed=0):
    """The lowest F met, its standard error, and the F of all starts."""
    laws = Laws(problem, points, seed)
    values, errors = [], []
    for covariance in starts(laws, np.random.default_rng(seed), count):
        A, B, mean, spread = laws.minimised(covariance)
        fresh = []
        for stream in range(4):
            judge = Laws(problem, 4 * points, 1000 + 10 * seed + stream)
            try:
                fresh.append(judge.free_energy(judge.place(mean, spread), A, B)[0])
            except np.linalg.LinAlgError:
                fresh.append(np.inf)
        values.append(np.mean(fresh))
        errors.append(np.std(fresh, ddof=1) / 2 if np.isfinite(fresh).all() else np.inf)
    best = int(np.argmin(values))
    return values[best], errors[best], np.array(values)
