from __future__ import annotations

import pytest

from rtseg.training.epoch import learning_rate_factor
from rtseg.training.recipe import TrainingRecipe


def factors(total: int, *, warmup_steps: int, poly_power: float = 0.9) -> list[float]:
    recipe = TrainingRecipe("affnet", "streets", 1, warmup_steps=warmup_steps, poly_power=poly_power)
    return [learning_rate_factor(recipe, step, total) for step in range(total)]


def test_the_rate_rises_in_equal_steps_to_the_whole() -> None:
    assert factors(20, warmup_steps=4)[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_after_the_warm_up_it_falls_with_the_power_of_what_is_left() -> None:
    # 4 steps of warm-up and 16 more: 1, (15/16)^2, (14/16)^2, ... (1/16)^2
    expected = [((16 - step) / 16) ** 2 for step in range(16)]
    assert factors(20, warmup_steps=4, poly_power=2)[4:] == pytest.approx(expected)


def test_without_a_warm_up_the_first_step_has_the_whole_rate() -> None:
    assert factors(10, warmup_steps=0)[0] == 1


def test_a_short_run_warms_up_for_half_its_length_at_most() -> None:
    assert factors(6, warmup_steps=100)[:4] == pytest.approx([1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize("total", [1, 2, 3, 100])
def test_every_step_learns_something_and_none_more_than_the_whole(total: int) -> None:
    assert all(0 < factor <= 1 for factor in factors(total, warmup_steps=10))


def test_the_rate_never_rises_after_the_warm_up() -> None:
    after = factors(50, warmup_steps=5)[4:]
    assert after == sorted(after, reverse=True)


def test_a_power_of_0_keeps_the_rate() -> None:
    assert factors(10, warmup_steps=0, poly_power=0) == [1] * 10
    assert factors(10, warmup_steps=2, poly_power=0) == [0.5, *[1] * 9]
