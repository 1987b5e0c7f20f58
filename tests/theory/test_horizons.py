"""From which T on each exact result exists: below it, or for no integer, one line; at it, an answer."""

from importlib import import_module

import pytest
from sympy import Integer, Rational

from theory.sharing import SharingFamily

SHARED = SharingFamily("shared", Rational(1, 2))
#: Module, function, smallest T, further arguments, and whether the answer at the smallest T is quick.
GATED = [
    ("stability", "second_variation", 3, (), True),
    ("stability", "critical_mode", 4, (), True),
    ("incoherent", "incoherent_branch", 3, (), True),
    ("critical_point", "critical_point", 4, (Integer(1),), True),
    ("elimination", "eliminate_entry", 4, (), False),
    ("sharing_tricritical", "tricritical_polynomial", 4, (), False),
    ("sharing_tricritical", "tricritical_correlations", 4, (), False),
    ("sharing_transition", "critical_point_of", 4, (Integer(1),), True),
    ("free_energy", "endpoint_free_energy", 3, (), True),
    ("landau", "landau_expansion", 4, (Integer(1),), True),
    ("coexistence", "coexistence", 4, (Integer(30),), False),
    ("learning_coherence", "crossing_noise", 4, (), True),
    ("learning_onset", "onset", 3, (), True),
    ("learning_transition", "learning_transition", 3, (Integer(1),), True),
    ("learning_transition", "strong_noise", 3, (), True),
    ("complete_states", "assert_complete", 3, ("dnn",), True),
]
BEFORE = {
    "critical_point_of": (SHARED,),
    "tricritical_polynomial": ("shared",),
    "tricritical_correlations": ("shared",),
}


@pytest.mark.parametrize(("module", "name", "smallest", "after", "quick"), GATED, ids=[each[1] for each in GATED])
def test_the_smallest_horizon(module, name, smallest, after, quick):
    function, before = getattr(import_module(f"theory.{module}"), name), BEFORE.get(name, ())
    for wrong in (smallest - 1, 0, -smallest, float(smallest), True, str(smallest)):
        with pytest.raises(
            ValueError,
            match=rf"^T: is {wrong!r}(, [^;]*)?; accepted: an integer (≥ {smallest}|from {smallest} to \d+)$",
        ):
            function(*before, wrong, *after)
    if quick:
        function(*before, smallest, *after)
