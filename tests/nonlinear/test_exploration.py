"""The exploration of the learnt side: what it varies is what it says."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.nonlinear import descent, exploration, setting, states
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.space import trajectory_space
from numerics.progress import Told


@pytest.mark.parametrize("problem", [endpoint(4, 6.0, kappa=0.3), sequence(4, 1.2, 2.0, (1, 3), kappa=5.0, arch="dnn")])
@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_a_problem_with_another_noise_has_that_problems_space(problem, factor):
    found = trajectory_space(problem).with_noise(factor)
    expected = trajectory_space(problem.with_(kappa=factor * problem.kappa))
    assert found.problem.kappa == pytest.approx(expected.problem.kappa, rel=1e-15)
    pairs = [(found, expected), (found.labels, expected.labels), (found.labels.sets[0], expected.labels.sets[0])]
    for one, other in pairs:
        for field in fields(other):
            values = getattr(one, field.name), getattr(other, field.name)
            if isinstance(values[1], np.ndarray | float):
                np.testing.assert_allclose(*values, rtol=1e-14)


def law(place, free_energy):
    return SimpleNamespace(kernel=np.array([[float(place)]]), free_energy=free_energy, place=place)


class Space(SimpleNamespace):
    """That knows the labels and the noise it was asked for."""

    def with_labels(self, part):
        return Space(part=self.part * part, noise=self.noise)

    def with_noise(self, factor):
        return Space(part=self.part, noise=self.noise * factor)


class Downhill:
    """A descent that goes where it is told: `down` notes what it is asked, and answers by place."""

    def __init__(self, answers=None):
        self.asked, self.answers = [], answers or {}

    def down(self, space, start, steps):
        self.asked.append((space.part, round(space.noise, 9), start.place, steps))
        return self.answers.get(start.place, (start, True))

    def normal(self, space, covariance):
        return covariance


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(exploration, "images", lambda space, phi, kernel: [kernel, -kernel])
    return lambda answers=None, ceiling=100.0: exploration._Exploration(
        Space(part=1.0, noise=1.0), None, Downhill(answers), ceiling, Told()
    )


def found(one):
    return [(each.place, each.free_energy, done) for each, done in one.found]


def test_of_laws_that_are_one_state_the_lowest_is_kept(planted):
    one = planted()
    one.keep(law(10, 3.0), True)
    one.keep(law(20, 2.0), False)
    assert found(one) == [(20, 2.0, False), (10, 3.0, True)]
    one.keep(law(21, 1.5), True)  # within 15 % of 20
    one.keep(law(-11, 3.5), False)  # an image of 10, and higher
    assert found(one) == [(21, 1.5, True), (10, 3.0, True)]
    one.keep(law(40, 100.5), True)  # above the random network's own law
    one.keep(law(40, np.nan), True)
    one.keep(law(40, 100.0), True)
    assert [place for place, _, _ in found(one)] == [21, 10, 40]
    one.keep(law(15.5, 1.0), False)  # near none of them
    assert [place for place, _, _ in found(one)] == [15.5, 21, 10, 40]


def test_laws_compete_within_a_margin(planted):
    one = planted()
    assert one.competing(1.0) == []
    for place, F in ((10, 4.0), (20, 4.9), (40, 5.1)):
        one.keep(law(place, F), True)
    assert [each.place for each, _ in one.competing(0.2)] == [10, 20]  # 4 + 0.2 (1 + 4)


def test_those_that_have_not_ended_go_on_while_they_fall(planted):
    one = planted()
    fall = iter([3.0, 2.5, 2.49])

    def down(space, start, steps):
        one.descent.asked.append((start.place, steps))
        if start.place == 20:
            return law(20, 4.56), False
        return law(10, next(fall)), False

    one.descent.down = down
    for place, F, done in ((10, 4.0, False), (20, 4.6, False), (40, 4.2, True), (80, 99.0, False)):
        one.keep(law(place, F), done)
    one.go_on()
    # 20 falls by less than a hundredth of 1 + F; 10 until the third round; what has ended or does not compete stays
    expected = [(10, exploration.STEPS), (20, exploration.STEPS), (10, exploration.STEPS), (10, exploration.STEPS)]
    assert one.descent.asked == expected
    assert found(one) == [(10, 2.49, False), (40, 4.2, True), (20, 4.56, False), (80, 99.0, False)]


def test_rounds_and_laws_that_go_on_are_bounded(planted):
    one = planted()

    def down(space, start, steps):
        one.descent.asked.append(start.place)
        return law(start.place, start.free_energy - 1.0), False

    one.descent.down = down
    for k in range(10):
        one.keep(law(10 * 2**k, 50.0), False)
    one.go_on()
    assert len(one.descent.asked) == exploration.MOST_GOING_ON * exploration.ROUNDS
    assert len(set(one.descent.asked)) == exploration.MOST_GOING_ON


def test_from_the_random_network_at_once_and_by_labels_that_grow(planted):
    one = planted()
    one.random_side(law(10, 5.0), grown=False)
    assert one.descent.asked == [(1.0, 1.0, 10, exploration.FIRST_STEPS)]
    one = planted()
    one.random_side(law(10, 5.0), grown=True)
    assert [part for part, *_ in one.descent.asked] == [1.0, *exploration.SCALES, 1.0]
    assert [steps for *_, steps in one.descent.asked[1:-1]] == [exploration.WAY_STEPS] * len(exploration.SCALES)
    assert one.descent.asked[-1][-1] == exploration.FIRST_STEPS
    one = planted()
    one.random_side(None, grown=True)  # a covariance that is singular
    assert one.descent.asked == one.found == []


def test_the_lowest_is_followed_to_stronger_labels_and_weaker_noise_and_back(planted):
    one = planted()
    one.continued()
    assert one.descent.asked == []
    one.keep(law(20, 9.0), True)
    one.keep(law(10, 5.0), True)
    one.continued()
    first = len(exploration.STRONGER) + 1
    stronger, weaker = one.descent.asked[:first], one.descent.asked[first:]
    assert [(part, noise) for part, noise, *_ in stronger] == [*((part, 1.0) for part in exploration.STRONGER), (1, 1)]
    assert [(part, noise) for part, noise, *_ in weaker] == [*((1.0, noise) for noise in exploration.WEAKER), (1, 1)]
    assert {place for _, _, place, _ in one.descent.asked} == {10}


def test_labels_within_reach_are_hardly_explored():
    """κ = 1 beside v Φ of 1: within reach up to three times that; and labels of small energy change nothing."""

    def explored(signal, kappa, T=4):
        problem = endpoint(T, signal, kappa=kappa, activation="erf")
        space = trajectory_space(problem)
        prior = forward_kernel(space, problem.activation)
        told = []
        say = Told(lambda doing, done, total: told.append(doing))
        result = exploration.explore(space, problem.activation, prior, 0, say)
        return result, told, float(prior[-1, -1])

    weak, told, size = explored(0.1, 1.0)
    assert weak.within_reach == (3 * size >= 1.0)
    near, told, size = explored(0.1, 2.9 * size)
    assert near.within_reach
    assert (near.laws, near.ended, near.bound_met, told) == ([], [], "", [])
    far, told, _ = explored(0.1, 3.1 * size)
    assert not far.within_reach
    assert len({doing for doing in told if "going on" not in doing}) == 2
    _, _, size = explored(0.1, 1.0, T=3)
    assert explored(0.1, 8.9 * size, T=3)[0].within_reach
    assert not explored(0.1, 9.1 * size, T=3)[0].within_reach
    strong, told, _ = explored(4.0, 2.0 * explored(0.1, 1.0)[2])
    assert strong.within_reach
    assert len({doing for doing in told if "going on" not in doing}) == 1
    assert strong.laws[0].free_energy == min(each.free_energy for each in strong.laws)


def test_a_descent_through_singular_laws_ends_where_it_was_and_is_not_called_ended(monkeypatch):
    space = trajectory_space(endpoint(4, 6.0, activation="erf"))
    below = descent.Descent(space.d, NAMED["erf"], 0)
    start = below.normal(space, space.covariance(forward_kernel(space, NAMED["erf"])))
    assert below.normal(space, np.zeros((space.d, space.d))) is None
    singular = start._replace(covariance=np.zeros((space.d, space.d)))
    law, ended = below.down(space, singular, 5)
    assert law is singular
    assert not ended
    # the points are placed, but no law on the way has a covariance: no step is so short that one does
    placed = []

    def law_at(space, phi, nodes, precision, tilt):
        placed.append(nodes)
        if len(placed) > 1:
            raise np.linalg.LinAlgError("singular")
        return start

    monkeypatch.setattr(descent, "law_at", law_at)
    law, ended = below.down(space, start, 5)
    assert law is start
    assert not ended
    assert len(placed) > 20


def test_the_diagonal_state_is_one_without_correlations_that_is_near_it(monkeypatch):
    space, phi = trajectory_space(endpoint(4, 6.0, activation="erf")), NAMED["erf"]
    diagonal = SimpleNamespace(kernel=np.diag([1.0, 2.0, 3.0]))
    monkeypatch.setattr(setting, "diagonal_state", lambda *given: diagonal)
    search = setting.Search(SimpleNamespace(phi=phi), space, np.eye(3), 1e-3, True, 0, print)
    within, beyond = (np.diag([1.0, 2.0, 3.0 + part * setting.SAME_DIAGONAL * 14**0.5]) for part in (0.99, 1.01))
    assert search.diagonal_at(within) is diagonal
    assert search.diagonal_at(beyond) is None
    coherent = diagonal.kernel + 0.01 * np.ones((3, 3))
    even = diagonal.kernel + 0.01 * np.outer([1, 0, 1], [1, 0, 1])
    assert search.diagonal_at(coherent) is None
    assert search.diagonal_at(even) is None
    assert replace(search, is_diagonal=False).diagonal_at(within) is None


@pytest.mark.parametrize(
    ("engine", "limit"), [(Sampling(NAMED["erf"], None, 0), 1e-2), (Quadrature(NAMED["erf"]), 1e-5)]
)
def test_two_states_are_one_within_the_engines_distance_and_further_where_patterns_may_be_exchanged(engine, limit):
    one = endpoint(4, 6.0, activation="erf")
    y = np.full((2, 3), np.nan)
    y[:, -1] = 1.0
    exchanged = Problem(np.eye(2), y, activation="erf")
    for problem, factor in ((one, 1.0), (exchanged, setting.EXCHANGED)):
        space = trajectory_space(problem)
        search = setting.Search(engine, space, np.eye(space.m), 1e-3, False, 0, print)
        kernel = np.diag(np.arange(1.0, space.m + 1))
        for share, same in ((0.99, True), (1.01, False)):
            moved = kernel * (1 + share * limit * factor)
            states = (SimpleNamespace(point=SimpleNamespace(kernel=each)) for each in (kernel, moved))
            first, second = states
            assert search.same(second, first) == same


class Converging:
    """An engine that notes what it is asked to converge to."""

    def __init__(self):
        self.phi, self.asked = NAMED["erf"], []

    def around(self, space, law):
        if law.kernel[0, 0] == 0.0:
            raise np.linalg.LinAlgError("singular")
        return law

    def converge(self, space, start, *, classes, relaxed):
        self.asked.append((start, classes, relaxed))
        return "state"


@pytest.mark.parametrize(("share", "diagonal"), [(0.9, True), (1.1, False)])
def test_a_law_of_few_correlations_is_kept_to_none_and_others_are_relaxed(share, diagonal):
    space, engine = trajectory_space(endpoint(4, 6.0, activation="erf")), Converging()
    search = setting.Search(engine, space, np.eye(3), 1e-3, True, 0, print)
    kernel = np.diag([1.0, 2.0, 2.0])
    off = share * setting.SAME_DIAGONAL * np.linalg.norm(kernel) / np.sqrt(6 * (1 - setting.SAME_DIAGONAL**2))
    kernel = kernel + off * (1 - np.eye(3))
    law = SimpleNamespace(kernel=kernel, tilt=2 * kernel, covariance=3 * kernel)
    law._replace = lambda **changes: SimpleNamespace(**{**vars(law), **changes})
    assert states.state_of_law(search, law) == "state"
    ((start, classes, relaxed),) = engine.asked
    kept = np.eye(3) if diagonal else np.ones((3, 3))
    for name, factor in (("kernel", 1), ("tilt", 2), ("covariance", 3)):
        np.testing.assert_allclose(getattr(start, name), factor * kept * kernel)
    assert (classes is None) != diagonal
    assert relaxed == (0 if diagonal else setting.RELAXATION)
    law.kernel = np.zeros((3, 3))
    assert states.state_of_law(search, law) is None


def test_the_law_of_a_diagonal_state_is_normal_in_its_coordinates_but_for_the_tilt():
    space, engine = trajectory_space(endpoint(4, 6.0, activation="erf")), Converging()
    search = setting.Search(engine, space, np.eye(3), 1e-3, True, 0, print)
    scale = np.diagonal(space.embedding) ** 2
    state = SimpleNamespace(
        covariance=np.diag([2.0, 3.0, 4.0]), second_moment=np.diag([5.0, 6.0, 7.0]), conjugate="tilt", free_energy=8.0,
        kernel="kernel",
    )  # fmt: skip
    law = states.diagonal_law(search, state)
    np.testing.assert_allclose(law.precision, np.diag(scale / [2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(law.prior_precision, law.precision)
    np.testing.assert_allclose(law.covariance, np.diag([5.0, 6.0, 7.0] / scale))
    assert (law.tilt, law.kernel, law.free_energy) == ("tilt", "kernel", 8.0)
    assert not law.mean.any()
