"""Small networks and trainings, for the tests of the training core."""

import ptycho_fast
from ptycho_fast.tf import LossWeights, PtychoNet, Trainer, TrainSpec, canvas_side

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {
        "N": 16,
        "object.size": 70,
        "scan.n_patterns": 60,
        "dose.nphotons": 1e5,
        "groups.n_train": 12,
        "groups.n_test": 8,
    }
)


def network(feed, **options):
    """A network for the data of a feed."""
    options = {"n_filters_scale": 1, "modes": len(feed.data.probe)} | options
    canvas = canvas_side(feed.N, feed.largest_offset + 4)
    net = PtychoNet(feed.N, feed.gridsize, canvas, feed.intensity_scale, **options)
    net.set_probe(feed.data.probe)
    return net


def trained(feed, folder=None, weights=None, net=None, **spec):
    """A trainer after its training."""
    spec = {"epochs": 2, "validation": 0.2} | spec
    spec["weights"] = weights or LossWeights()
    trainer = Trainer(net or network(feed), TrainSpec(**spec), folder)
    trainer.train(feed)
    return trainer


def losses(history):
    """A history without the times in it."""
    return [{k: v for k, v in values.items() if "seconds" not in k} for values in history]
