"""What a simulation returns: its draws (``numerics.sampling.draws``), with means, errors and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numerics.display import Facts
from numerics.inputs.arrays import finite_array
from numerics.linalg import ComplexArray, FloatArray, alignment, direction
from numerics.plotting import kernel, kernel_label
from numerics.results.base import Result
from numerics.results.labelled import (
    KERNEL,
    Arrays,
    Labelled,
    counted,
    kernel_array,
    kernel_coordinates,
    output_array,
    problem_attributes,
)
from numerics.sampling.controls import DRAWS_EACH, DRAWS_WELL, controlled, stages
from numerics.sampling.curvature import euler_bias, is_small
from numerics.sampling.diagnostics import ESS_LIMIT, RHAT_LIMIT, Summary, summarise, summarise_symmetric
from numerics.sampling.draws import Draws
from numerics.sampling.observables import (
    DENSE_WIDTH,
    autocorrelation,
    bulk_edge,
    coherence,
    outliers,
)
from numerics.sampling.posterior import datatree


@dataclass(frozen=True, eq=False, repr=False)
class Simulation(Draws, Result):
    """Draws from a network's posterior over weights, with the attributes of `Draws`, and what they say.

    Where W → -W is a symmetry and the network coherent, all means and what is said of them are of draws that are each
    taken to the sign of positive order parameter (`one_sign`); `kernels`, `outputs` and `spectra` are as drawn, and
    `both_signs` has the means over these.
    """

    def facts(self) -> Facts:
        """What was sampled, and how well."""
        problem = self.problem
        return (
            ("problem", f"{problem.model}, T = {problem.T}, P = {problem.P}, N = {self.width}"),
            ("draws", f"{self.chains} × {self.draws} by {self.sampler}, seed {self.seed}"),
            ("effective samples", f"{self.ess:.0f}"),
            ("R-hat", f"{self.rhat:.3f}"),
            *self._signs_told(),
            *(("warning", each) for each in self.warnings),
        )

    def _signs_told(self) -> Facts:
        """Which sign each chain was in, where a coherent network has two."""
        if self.positive_share is None or not self._is_coherent:
            return ()
        shares = ", ".join(f"{share:.0%}" for share in self.positive_share)
        means = "as drawn" if self.sign_kept else "in one sign"
        return (("positive order parameter", f"{shares} of each chain's draws; means {means}"),)

    def matrix(self) -> FloatArray:
        """The mean kernel."""
        return self.kernel_mean

    def matrix_patterns(self) -> int:
        """P."""
        return self.problem.P

    def title(self) -> str:
        """What was sampled, with the width as a formula."""
        return self.told(f"$N = {self.width}$")

    def told(self, width: str) -> str:
        """The architecture and the width, and whether the means are over both signs of a coherent network."""
        return f"{self.problem.network}, {width}" + (", both signs" if self._mixes_signs else "")

    def draw(self, ax: Any, **style: Any) -> None:
        """The mean kernel as colours."""
        kernel(
            self.kernel_mean,
            self.problem.P,
            ax,
            **{"label": f"mean {kernel_label(self.problem.kernel_symbol)}", **style},
        )
        ax.set_title(self.title(), loc="left")

    def labelled(self) -> Arrays:
        """Means over draws, with their standard errors (`to_arviz` has the draws)."""
        problem, P = self.problem, self.problem.P
        names = ("kernel_mean", "kernel_standard_error", "kernel_sd")
        data: dict[str, Labelled] = {name: kernel_array(getattr(self, name), P) for name in names}
        coordinates = kernel_coordinates(problem.n, P)
        for name in ("prediction", "prediction_standard_error"):
            data[name] = output_array(getattr(self, name), problem.outputs)
            held_out = getattr(self, f"test_{name}")
            if held_out is not None:
                data[f"test_{name}"] = output_array(held_out, problem.outputs, pattern="test_pattern")
                coordinates |= counted(test_pattern=held_out.shape[-2])
        words = ("width", "sampler", "seed", "chains", "draws", "ess", "rhat", "acceptance", "seconds")
        described = {name: getattr(self, name) for name in words}
        return Arrays(KERNEL, data, coordinates, problem_attributes(problem) | described)

    def to_arviz(self) -> Any:
        """The draws as ArviZ keeps a posterior: a DataTree with groups ``posterior`` and ``constant_data``.

        ``posterior`` has, along (chain, draw): ``kernel`` (row, column; time-major), ``output`` (pattern, time) and
        ``basin`` (the sign of the order parameter). ``constant_data`` has the task. Needs arviz-base (the extra
        ``arviz``).

        Raises:
            InputError: arviz-base is not installed.
        """
        draws = {"kernel": self.kernels, "output": self.outputs, "basin": self.basins}
        words: dict[str, Any] = {
            name: getattr(self, name) for name in ("width", "sampler", "seed", "seconds", "acceptance")
        }
        return datatree(self.problem, draws, {**words, "step_size": list(self.step_size)})

    @cached_property
    def _meant(self) -> Simulation:
        """The draws that means are over."""
        return self if self.sign_kept else self.one_sign()

    @cached_property
    def _kernel(self) -> Summary:
        return summarise_symmetric(self._meant.kernels)

    @cached_property
    def kernels_controlled(self) -> FloatArray | None:
        """The kernels that means are over, less the noise that control variates explain (`numerics.sampling.controls`).

        None where there are no variates, or fewer than ten draws for each. Of draws taken to one sign (`gauge_fixed`),
        variates that are odd under the symmetry have mean zero only where no chain changes its sign, and are left out
        where one does.
        """
        kernels, variates = self._meant.kernels, self._meant.controls
        if variates is None:
            return None
        functions, d = variates.shape[2:]
        draws = self.chains * self.draws
        if draws < DRAWS_EACH * d**2:
            return None
        most = min(functions, max(d, draws // (DRAWS_WELL * d)))
        count = max(count for count in stages(d, kernels.shape[2]) if count <= most)
        return controlled(kernels, variates[:, :, :count])

    @cached_property
    def kernel_controlled(self) -> Summary | None:
        """Mean kernel and its standard error of `kernels_controlled`, (nP, nP) each: O(1/N) in place of O(1/√N)."""
        return None if self.kernels_controlled is None else summarise_symmetric(self.kernels_controlled)

    @cached_property
    def _output(self) -> Summary:
        return summarise(self._meant.outputs)

    @property
    def kernel_mean(self) -> FloatArray:
        """Mean kernel, (nP, nP)."""
        return self._kernel.mean

    @property
    def kernel_standard_error(self) -> FloatArray:
        """Standard error of the mean kernel, autocorrelation included, (nP, nP)."""
        return self._kernel.standard_error

    @property
    def kernel_sd(self) -> FloatArray:
        """Standard deviation of the kernel over draws, (nP, nP)."""
        return self._kernel.sd

    @property
    def kernel_bias(self) -> FloatArray | None:
        """Estimated discretisation bias of `kernel_mean`, to first order in the step, (nP, nP).

        None if there is none, or if a step is too large for first order to say anything. Each chain has its own step;
        the estimate is the chains' mean.
        """
        meant = self._meant
        if meant.bias_local is None or self.bias_squared is None:
            return None
        if not all(is_small(*chain) for chain in zip(self.step_size, self.bias_squared, strict=True)):
            return None
        chains = zip(self.step_size, meant.kernels, meant.bias_local, self.bias_squared, strict=True)
        return np.asarray(np.mean([euler_bias(*chain) for chain in chains], axis=0))

    @property
    def ess(self) -> float:
        """Smallest effective sample size over the kernel's entries."""
        return float(self._kernel.ess.min())

    @property
    def rhat(self) -> float:
        """Largest R-hat over the kernel's entries."""
        return float(self._kernel.rhat.max())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against believing the means and their standard errors; empty where nothing does."""
        said = []
        if self.rhat > RHAT_LIMIT:
            said.append(f"R-hat is {self.rhat:.3f}, above {RHAT_LIMIT}: the chains disagree")
        if self.ess < ESS_LIMIT:
            said.append(f"the effective sample size is {self.ess:.3g}, below {ESS_LIMIT:g}")
        if said:
            mixed = "the means are over both signs of a coherent network, one_sign() has those of one"
            said[-1] += "; " + (mixed if self._mixes_signs else "more steps are needed")
        return tuple(said)

    @property
    def prediction(self) -> FloatArray:
        """Mean outputs, (P, n); column t-1 is f^(t+1)."""
        return self._output.mean[..., : self.problem.P, :]

    @property
    def prediction_standard_error(self) -> FloatArray:
        """Standard error of the mean outputs, (P, n)."""
        return self._output.standard_error[..., : self.problem.P, :]

    @property
    def test_prediction(self) -> FloatArray | None:
        """Mean outputs of the test patterns, (Q, n), or None without any."""
        return None if self.problem.x_test is None else self._output.mean[..., self.problem.P :, :]

    @property
    def test_prediction_standard_error(self) -> FloatArray | None:
        """Standard error of the test patterns' mean outputs, (Q, n), or None without any."""
        return None if self.problem.x_test is None else self._output.standard_error[..., self.problem.P :, :]

    @property
    def coherence(self) -> FloatArray:
        """Temporal coherence of the mean kernel, averaged over patterns, (n, n)."""
        return coherence(self.kernel_mean, self.problem.P)

    @property
    def autocorrelation(self) -> FloatArray:
        """Mean coherence at each lag, (n,)."""
        return autocorrelation(self.kernel_mean, self.problem.P)

    def alignment(self, kernel: ArrayLike) -> tuple[float, float]:
        """Alignment (CKA) of the mean kernel with a given one, (nP, nP), and its standard error.

        The error is that of ``Σ_ij g_ij Φ_ij`` with g the alignment's gradient at the mean, autocorrelation included.
        """
        mean = self.kernel_mean
        kernel = finite_array(kernel, "kernel", mean.shape)
        value = float(alignment(mean, kernel))
        slope = (direction(kernel) - value * direction(mean)) / np.linalg.norm(mean)
        series = np.tensordot(self._meant.kernels, slope, axes=2)
        return value, float(summarise(series).standard_error)

    @property
    def energies(self) -> FloatArray:
        """``L/N = ½ Σ_c [y_cᵀ(vΦ_𝒯𝒯 + κ)^(-1) y_c + ln|vΦ_𝒯𝒯 + κ|/N]`` at each draw, (chains, draws)."""
        problem, total = self.problem, np.zeros(self.kernels.shape[:2])
        for at, labels in problem.targets:
            covariance = problem.v * self.kernels[..., at[:, None], at] + problem.kappa * np.eye(len(at))
            solved = np.linalg.solve(covariance, np.broadcast_to(labels[:, None], (*covariance.shape[:-1], 1)))
            total += 0.5 * solved[..., 0] @ labels + 0.5 * np.linalg.slogdet(covariance)[1] / self.width
        return total

    @property
    def bulk(self) -> FloatArray | None:
        """Moduli of W's eigenvalues within `bulk_edge`, in units of √w, over all spectra, in increasing order.

        None for a DNN, a single hidden time, or where not all eigenvalues are computed. By the circular law
        their squares are uniform on (0, 1) for N → ∞.
        """
        if not self.spectra or self.width > DENSE_WIDTH:
            return None
        moduli = np.abs(np.concatenate([item.values for item in self.spectra]))
        return np.sort(moduli[moduli <= bulk_edge(self.width)])

    @property
    def outliers(self) -> ComplexArray | None:
        """Typical eigenvalues of W outside the bulk, in units of √w; None for a DNN, a single hidden time, or where no
        eigenvalues are computed.

        With the sign symmetry, every draw is first taken to the sign that most draws of the means have.
        """
        if not self.spectra:
            return None
        signs = [1.0] * len(self.spectra)
        if self.has_sign_symmetry:
            majority = 1.0 if self._meant.basins.sum() >= 0 else -1.0
            signs = [majority * float(self.basins[item.chain, item.draw]) for item in self.spectra]
        return outliers([item.values for item in self.spectra], signs, self.width)
