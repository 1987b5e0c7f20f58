"""The one branch through a known state."""

from numerics.continuation.family import family
from numerics.continuation.following import through
from numerics.continuation.path import Track
from numerics.linear.lag_classes import lag_period


def branch_through(problem, parameter, span, kernel):
    """Both ways within the span, from a stationary kernel in the space of the inputs."""
    whole = family(problem, parameter)
    theta, low, high = (whole.parameter.coordinate(p) for p in (whole.parameter.value_of(problem), *span))
    track = Track(whole, lag_period(whole.functional(theta), kernel))
    return through(track, track.converge(kernel, theta), theta, (low, high))
