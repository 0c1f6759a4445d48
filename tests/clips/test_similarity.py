import numpy as np
import pytest

from originet.clips.similarity import Similarity, fit, fit_most, to_complex, to_real

RNG = np.random.default_rng(0)
POINTS = to_complex(RNG.uniform(-1, 1, (9, 2)))
MOVE = Similarity(1.3 * np.exp(0.4j), 2 - 1j)


def test_a_fit_finds_the_map_of_points():
    found = fit(POINTS, MOVE(POINTS))
    np.testing.assert_allclose(found, MOVE, atol=1e-12)


def test_weights_count():
    onto = MOVE(POINTS)
    onto[0] += 5
    weights = np.ones(9)
    weights[0] = 1e-12
    np.testing.assert_allclose(fit(POINTS, onto, weights), MOVE, atol=1e-9)
    assert abs(fit(POINTS, onto).b - MOVE.b) > 0.1


def test_most_points_outvote_a_few():
    onto = MOVE(POINTS)
    onto[:2] += 0.4j  # two that move on their own
    found, spread = fit_most(POINTS, onto, 1e-3)
    error, plain = (np.abs(map(POINTS) - MOVE(POINTS)).max() for map in (found, fit(POINTS, onto)))
    assert error < 0.4 * plain and spread < 0.05


def test_maps_are_applied_one_after_another_and_back():
    other = Similarity(0.5j, 3 + 1j)
    np.testing.assert_allclose(MOVE.after(other)(POINTS), MOVE(other(POINTS)))
    np.testing.assert_allclose(MOVE.inverse()(MOVE(POINTS)), POINTS)


@pytest.mark.parametrize("centre", [0j, 2 + 5j])
def test_a_half_of_a_map_done_twice_is_the_map_where_its_centre_is_concerned(centre):
    turn = Similarity(np.exp(0.6j), centre - np.exp(0.6j) * centre)  # about the centre
    np.testing.assert_allclose(turn.part(0.5, centre).after(turn.part(0.5, centre)), turn)
    shift = Similarity(1, 4 + 2j)
    np.testing.assert_allclose(shift.part(0.25, centre), (1, 1 + 0.5j), atol=1e-12)
    np.testing.assert_allclose(MOVE.part(0, centre), (1, 0), atol=1e-12)
    np.testing.assert_allclose(MOVE.part(1, centre), MOVE)


def test_the_matrix_maps_columns():
    columns = np.vstack([to_real(POINTS).T, np.ones(9)])
    np.testing.assert_allclose((MOVE.matrix() @ columns).T, to_real(MOVE(POINTS)))
