"""The campaigns that come with the package: every draw can be made, and the first ones stay."""

import hashlib
import json

import numpy as np
import pytest

from ptycho_fast import Campaign, objects, optics, probes, scans
from ptycho_fast.scenario import campaigns

DRAWN = range(201)
SIDE = {"xray_zoo": 448, "electron_zoo": 320}


def test_the_names():
    assert set(campaigns()) == set(SIDE)


@pytest.fixture(scope="module", params=sorted(SIDE))
def zoo(request):
    return Campaign(request.param, backend="reference")


def test_every_draw_can_be_made(zoo):
    """The beam fits into N pixels and its cone on the detector, the scan into the object."""
    N, side = zoo.template.N, SIDE[zoo.template.name]
    shape = (side, side)
    for k in DRAWN:
        scenario = zoo.scenario(k)
        scenario.require_runnable(groups=True)
        assert scenario.object.size == side
        objects.check(scenario.object)
        geometry = optics.make_geometry(N, **dict(scenario.optics.items()))
        probe = probes.make_probe(scenario.probe, N, geometry=geometry, seed=scenario.seeds.probe)
        power = np.abs(probe) ** 2
        border = power.sum() - power[..., 16:-16, 16:-16].sum()
        assert border < 0.05 * power.sum(), zoo.draws(k)
        path = scans.make_scan(scenario.scan, shape, scenario.seeds.scan, geometry=geometry)
        scans.check_inside(path.nominal, shape, N)
        assert len(path.nominal) == scenario.scan.n_patterns == 512


def test_what_is_drawn_covers_what_is_offered(zoo):
    drawn = [zoo.draws(k) for k in DRAWN]
    for key in zoo.drawn:
        if key.endswith(".choice"):
            options = getattr(zoo.template, key.partition(".")[0]).options
            assert {draws[key] for draws in drawn} == set(range(len(options)))
        else:
            assert len({draws[key] for draws in drawn if key in draws}) > 1


def test_objects_are_physical(zoo):
    """No gain; and a thin specimen shifts phases by less than half a turn."""
    for k in range(12):
        scenario = zoo.scenario(k).replace({"object.size": 96})
        geometry = optics.make_geometry(128, **dict(scenario.optics.items()))
        obj = objects.make_object(scenario.object, scenario.seeds.object, geometry=geometry)
        assert np.abs(obj).max() <= 1 + 1e-6
        if scenario.object.kind == "weak_phase":
            assert 0 < np.angle(obj).max() < 1.4


# Scenario of each experiment: a change here changes every user's data. Its patterns: photons of the
# first four, and their second moments; the last bits of an intensity may move a few.
GOLDEN = {
    "electron_zoo": [
        ("4f84e296982392ef", 146667, 4670.6899),
        ("ad70e734a1ebfc1e", 31520, 4434.7688),
        ("a277e733e5eb198a", 25504, 4341.8788),
    ],
    "xray_zoo": [
        ("db2fa326aa74decd", 79044047, 4629.1383),
        ("e87e016fb8ed946e", 618382, 4372.7202),
        ("cfacb2fac607a895", 177927655, 4374.5623),
    ],
}


@pytest.mark.parametrize("name", sorted(SIDE))
def test_the_first_experiments_stay_as_they_are(name, fast_backend):
    campaign = Campaign(name, backend=fast_backend)
    for k, (scenario_hash, photons, moment) in enumerate(GOLDEN[name]):
        scenario = campaign.scenario(k)
        text = json.dumps([campaign.draws(k), scenario.seeds.to_dict()])
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == scenario_hash
        counts = campaign.simulator(k).frames(0, 4).astype(float)
        assert counts.sum() == pytest.approx(photons, rel=1e-5, abs=5)
        weights = np.arange(128.0)[:, None] ** 2 + 3 * np.arange(128.0)
        assert (counts * weights).sum() / counts.sum() == pytest.approx(moment, rel=1e-5)
