import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from services.monitoring.drift import statistics


def test_the_index_is_what_it_is_called() -> None:
    """By its formula, for counts so large that neither halves nor chance matter."""
    before, after = np.array([500_000, 500_000]), np.array([800_000, 200_000])
    expected = 0.3 * np.log(0.8 / 0.5) + -0.3 * np.log(0.2 / 0.5)
    assert statistics.stability_index(before, after) == pytest.approx(expected, rel=1e-3)
    assert statistics.stability_index(before, before) == 0
    assert statistics.stability_index(np.array([7]), np.array([9])) == 0
    assert statistics.stability_index(before, np.array([0, 0])) == 0


def test_chance_is_taken_off_the_index() -> None:
    generator = np.random.default_rng(0)
    before = generator.multinomial(1000, [0.1] * 10)
    found = [
        statistics.stability_index(before, generator.multinomial(100, [0.1] * 10))
        for _ in range(300)
    ]
    assert np.mean(found) < 0.05


@pytest.mark.parametrize(("n", "m", "shift"), [(1000, 500, 0.1), (1000, 100, 0.4), (60, 50, 0.0)])
def test_kolmogorov_smirnov_agrees_with_scipy(n: int, m: int, shift: float) -> None:
    generator = np.random.default_rng(n)
    before, after = generator.normal(size=n).round(1), generator.normal(shift, size=m).round(1)
    distance, p_value = statistics.ks(before, after)
    exact = stats.ks_2samp(before, after)
    assert distance == pytest.approx(exact.statistic)
    assert exact.pvalue * 0.9 <= p_value <= max(exact.pvalue * 3, 1e-12)


def test_fisher_agrees_with_scipy() -> None:
    table = [[12, 88], [3, 497]]
    one = stats.fisher_exact(table, alternative="greater").pvalue
    assert statistics.more_often(3, 500, 12, 100) == pytest.approx(one)
    assert statistics.differently_often(3, 500, 12, 100) == pytest.approx(2 * one)
    less = stats.fisher_exact([[0, 100], [200, 300]], alternative="less").pvalue
    assert statistics.differently_often(200, 500, 0, 100) == pytest.approx(2 * less)
    assert statistics.more_often(0, 500, 0, 100) == 1
    assert statistics.more_often(0, 0, 5, 100) == 1


def test_chi_square_joins_what_is_rare() -> None:
    before, after = np.array([500, 300, 200]), np.array([20, 60, 20])
    exact = stats.chi2_contingency([before, after], correction=False).pvalue
    assert statistics.chi_square(before, after) == pytest.approx(exact)
    many = np.array([500, 500, *[1] * 200])
    few = np.array([50, 50, *[0] * 199, 1])
    joined = stats.chi2_contingency([[500, 500, 200], [50, 50, 1]], correction=False).pvalue
    assert statistics.chi_square(many, few) == pytest.approx(joined)
    assert statistics.chi_square(np.array([50]), np.array([10])) == 1
    assert statistics.chi_square(np.array([1, 1]), np.array([1, 0])) == 1
    assert statistics.chi_square(np.array([5, 5]), np.array([0, 0])) == 1


def test_discrepancy_without_a_change_gives_even_p_values() -> None:
    generator = np.random.default_rng(1)
    before = generator.normal(size=(150, 5)).astype(np.float32)
    width = statistics.bandwidth(before)
    found = [
        statistics.mmd(
            generator.normal(size=(150, 5)).astype(np.float32),
            generator.normal(size=(60, 5)).astype(np.float32),
            width,
        )[1]
        for _ in range(40)
    ]
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert min(found) > 1e-5


def test_discrepancy_of_points_apart() -> None:
    generator = np.random.default_rng(2)
    before = generator.normal(size=(200, 5)).astype(np.float32)
    width = statistics.bandwidth(before)
    share, p_value = statistics.mmd(before, before[:100] + np.float32(1), width)
    further, surer = statistics.mmd(before, before[:100] + np.float32(3), width)
    assert 0.01 < share < further < 1
    assert surer < p_value < 1e-6
    same = np.zeros((30, 2), np.float32)
    assert statistics.mmd(same, same, statistics.bandwidth(same)) == (0.0, 1.0)


def test_holm_by_hand() -> None:
    found = statistics.holm(np.array([0.03, 0.01, 0.5, 0.02]))
    np.testing.assert_allclose(found, [0.06, 0.04, 0.5, 0.06])
    assert len(statistics.holm(np.array([]))) == 0
