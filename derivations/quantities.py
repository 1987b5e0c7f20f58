"""The symbol and the one phrase of each quantity that `unrolled derive` finds, by the name of its field."""

from __future__ import annotations

#: LaTeX and phrase; what a word calls otherwise is under (word, field).
_NAMES: dict[str | tuple[str, str], tuple[str, str]] = {
    "T": ("T", "index of the last output"),
    "kappa": (r"\kappa", "noise"),
    "arch": ("M_{st}", "sharing of the weights"),
    "supervised": (r"\mathcal{T}", "supervised hidden times"),
    "skip": ("a", "skip connection"),
    "bias": (r"\beta", "variance of the biases"),
    "signal": (r"\lambda", "signal along the branch"),
    "free_energy": ("F", "free energy per neuron"),
    "energy": (r"F_{\text{energy}}", "cost of the labels"),
    "trace": (r"F_{\text{trace}}", "trace term of the entropy"),
    "log_determinant": (r"F_{\text{log det}}", "log-determinant of the entropy"),
    "gradient": ("G", "gradient, dF = tr(G dH)"),
    "hessian_vector_product": (r"\mathrm{d}G", "change of the gradient along dH"),
    "M": ("M", "sharing matrix"),
    "patterns": ("X", "patterns as combinations of those of the kernel"),
    "parameter": ("s", "parameter of the branch"),
    "kernel_diagonal": ("H^{tt}", "variances"),
    "outlier": ("z_{1}", "outlier eigenvalue of W"),
    "second_eigenvalue": ("z_{2}", "second eigenvalue of the finite-rank part of W"),
    "fold_at_kappa": (r"\kappa_{\text{fold}}", "noise at which the branch folds here"),
    "last_variance": ("H^{nn}", "variance of the last hidden time"),
    "skip_squared": ("a^{2}", "skip connection along the states"),
    "chi": (r"\chi", "second parameter at this skip connection"),
    "zero_on_the_branch": ("0", "relation between the parameters"),
    "p_1": ("p_{1}", "factor of the entries of odd lag"),
    "ratio": ("r_{c}", "growth per time step at the critical point"),
    "vanish": ("0", "condition on the symbols"),
    "lag": ("l", "lag of the mode that turns unstable"),
    "order": ("", "order of the transition"),
    "exponent": ("", "exponent of the order parameter in lambda - lambda_c"),
    "amplitude_squared": ("A", "coefficient of lambda - lambda_c in the order parameter squared"),
    "next_coefficient": ("B", "coefficient of (lambda - lambda_c)^2 in it"),
    "amplitude_fourth": ("A", "coefficient of lambda - lambda_c in the order parameter to the fourth"),
    "continuous_where_positive": ("0", "condition for a continuous transition"),
    "tricritical_kappa": (r"\kappa_{\text{tri}}", "tricritical noise"),
    "critical_signal": (r"\lambda_{c}", "critical signal"),
    "critical_signal_at_large_T": (r"\lambda_{c}", "critical signal at large T"),
    "critical_mode": ("x^{t,t+1}", "critical mode"),
    "unstable_beyond_r": ("r_{l}", "growth beyond which lag l is unstable"),
    "kappa_onset": (r"\kappa_{*}", "noise at the onset of the learning transition"),
    "folds": (r"\left(\lambda_{-}, \lambda_{+}\right)", "folds of the diagonal branch"),
    "equal_free_energy": (r"\lambda_{=}", "signal of equal free energy"),
    "largest_kappa": (r"\kappa_{\max}", "noise up to which this is on the stable branch"),
    "singular_largest_kappa": (r"\kappa_{\max,\sigma}", "noise up to which this is on the stable branch"),
    "singular_signal": (r"\lambda_{\sigma}", "signal at which a singular value of W leaves the bulk"),
    "first": ("", "what comes first as lambda rises"),
    ("perturbation", "order"): ("", "power of the labels' kernel Y"),
    ("critical-point", "signal"): (r"\lambda_{c}", "critical signal"),
    ("outlier-threshold", "signal"): (r"\lambda_{z}", "signal at which an eigenvalue of W leaves the bulk"),
    ("outlier-threshold", "parameter"): ("s", "parameter of the coherent branch there"),
}


def symbol_and_phrase(what: str, field: str) -> tuple[str, str]:
    """LaTeX and phrase of a field of ``derive WHAT``; a field's floating-point value is the same quantity.

    Raises:
        KeyError: the field has no symbol of its own.
    """
    name = field.removesuffix("_float")
    return _NAMES[what, name] if (what, name) in _NAMES else _NAMES[name]


def phrase(what: str, field: str) -> str:
    """What a field of ``derive WHAT`` is; nothing where its name says it, or for a second form of a field."""
    if field.endswith("_float"):
        return ""
    known = _NAMES.get((what, field), _NAMES.get(field))
    return "" if known is None else known[1]
