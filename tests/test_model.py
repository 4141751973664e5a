"""The lease against simulated failures: the code of app/backup/lease.py in virtual time; see tests/model."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "model"))

import lease_model


@pytest.mark.parametrize("runs", [60, pytest.param(3000, marks=pytest.mark.soak)])
def test_the_lease_holds_in_random_runs(runs):
    """No fenced server answers, an orderly handover loses nothing, and a server serves in the end."""
    seed = random.randrange(10**9)
    assert lease_model.violations(runs, seed) == {}, f"seed {seed}"


# Each of these is detected in some of the runs, so a rule broken by mistake would be too.
@pytest.mark.soak
@pytest.mark.parametrize("mutant", lease_model.MUTANTS)
def test_the_model_detects_a_lease_without_one_of_its_rules(mutant):
    assert any(lease_model.violations(250, seed, mutant) for seed in range(0, 5000, 250))


def test_a_clean_update_pauses_for_seconds():
    gaps = []
    for seed in range(10):
        simulation, final, _ = lease_model.scenario(seed, kind="clean")
        assert lease_model.judge(simulation, final)[0] == []
        gaps.append(lease_model.longest_gap(simulation))
    assert max(gaps) < 25


def test_an_update_that_is_rolled_back_pauses_nothing():
    for seed in range(60):
        simulation, final, _ = lease_model.scenario(seed, kind="rolled back")
        if not simulation.faults and not simulation.stray:
            assert lease_model.judge(simulation, final)[0] == []
            assert lease_model.longest_gap(simulation) < 5
