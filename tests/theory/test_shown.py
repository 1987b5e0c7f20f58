"""The formulas that results show: each left-hand side with the value that it names."""

from types import SimpleNamespace

import pytest

from theory.coexistence import Coexistence
from theory.learning_onset import onset
from theory.learning_transition import LearningTransition
from theory.skip_untied import skip_branch
from theory.stability import lag_sector
from theory.symbols import T


@pytest.mark.parametrize(
    ("result", "rows"),
    [
        (
            onset(T),
            {
                r"\kappa_*": "kappa",
                "r_*": "ratio",
                r"\lambda_*": "signal",
                r"(H-H_*)^3/(\lambda-\lambda_*)": "isotherm",
                r"(\Delta H)^2/(\kappa-\kappa_*)": "jump_squared",
                r"(\lambda_+-\lambda_-)^2/(\kappa-\kappa_*)^3": "fold_distance_squared",
            },
        ),
        (
            skip_branch(5),
            {r"\lambda": "signal", "H^{nn}": "last_variance", "F": "free_energy", r"\kappa_\text{fold}": "fold_noise"},
        ),
        (
            lag_sector(6, 2),
            {"m_{2}": "size", "L_{2}^{tt}": "diagonal", "L_{2}^{mm}": "last", "L_{2}^{t,t+1}": "off_diagonal"},
        ),
    ],
    ids=["onset", "skip branch", "lag sector"],
)
def test_exact_results_show_their_values(result, rows):
    shown = {left: value for left, value, *_ in result.equations()}
    for left, name in rows.items():
        assert shown.pop(left) == getattr(result, name)
    assert set(shown) <= {r"\left|L_{2}\right|"}
    assert all(value == result.determinant() for value in shown.values())


def test_numbers_show_in_decimals_at_both_ends():
    fold, equal = (SimpleNamespace(signal=k + 0.5, order_parameter=k + 0.25, free_energy=k + 0.125) for k in (1, 2))
    found = Coexistence.equations(SimpleNamespace(T=6, fold=fold, equal=equal, critical_signal=4.5))
    assert [row.value for row in found] == [1.5, 1.25, 1.125, 2.5, 2.25, 2.125, 4.5]
    assert [row.left.split("_")[-1] for row in found] == [r"{\text{fold}}"] * 3 + ["{=}"] * 3 + ["c"]
    assert "5" in found[1].left
    assert "4" in found[1].left
    ends = (SimpleNamespace(signal=1.5), SimpleNamespace(signal=3.5))
    found = LearningTransition.equations(SimpleNamespace(folds=ends, equal=SimpleNamespace(signal=2.5)))
    assert [(row.left, row.value) for row in found] == [(r"\lambda_-", 1.5), (r"\lambda_+", 3.5), (r"\lambda_=", 2.5)]
    assert {row.relation for row in found} == {r"\approx"}
