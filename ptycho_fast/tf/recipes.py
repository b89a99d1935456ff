"""Whole trainings under a name: network, data and schedule that belong together."""

from dataclasses import dataclass, field, replace
from typing import Any

from ptycho_fast import checks
from ptycho_fast.data.feed import Stream, can_augment
from ptycho_fast.scenario import Scenario

from .losses import LossWeights
from .model import PtychoNet, canvas_side
from .streams import Feed, prepare
from .train import TrainSpec

# Groups in a step, of the published runs.
_BATCH_SIZES = {"gs1_ideal": 8, "gs2_ideal": 4, "gs1_custom": 16, "gs2_custom": 16}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training.

    Attributes
    ----------
    name : str
        A key of `RECIPES`.
    activation, bias : str, float
        Of the amplitude head.
    projections : int
        As for `PtychoNet`.
    undo_gain : bool
        Whether predictions are divided by the gain before they are compared with the truth.
    n_filters_scale : int
        Size of the network.
    all_groups : bool
        Every pattern seeds a group, with itself as a member; otherwise as the scenario says.
    noise : {"fixed", "fresh"}
        As for `data.feed.Feed.prepare`.
    augment : bool or None
        As for `data.feed.Feed.prepare`; None does so where probe and order of the groups allow it.
    both_twins : bool
        As for `inference.predict`.
    stitch : {"groups", "patches"}
        Whether the report's object is stitched of groups at their mean, or of patches at their own
        position.
    renew : {"scan", "object", "experiment"}, optional
        Train without end on other data in every pass; see `data.feed.Stream` and `endless`.
    held_out : int
        Number of objects that no training shows, of which scores are made; see
        `data.feed.Feed.held_out`.
    refine : int
        Passes of the refinement of the stitched object, and of one from a flat start; 0 for none.
    spec : TrainSpec
        Schedule and loss.
    """

    name: str
    activation: str = "softplus"
    bias: float = 1.0
    projections: int = 0
    undo_gain: bool = True
    n_filters_scale: int = 2
    all_groups: bool = False
    noise: str = "fixed"
    augment: bool | None = False
    both_twins: bool = False
    stitch: str = "groups"
    renew: str | None = None
    held_out: int = 0
    refine: int = 40
    spec: TrainSpec = field(default_factory=TrainSpec)

    def feeds(self, data: Any, **options: Any) -> tuple[Feed, Feed]:
        """Training and test feed of a data set; without end the test part is of a held-out object.

        Raises
        ------
        ScenarioError, ValueError
            The data cannot be fed like this, or not be renewed.
        """
        truth = self.spec.weights.object > 0
        if self.renew:
            options |= {"include_seed": True, "truth": truth}
            train = prepare(data, part="all", noise="unique", **options)
            train.check(Stream(renew=self.renew))
            if train.source.scenario and not train.source.scenario.noise:
                expected = "photon noise: without it, groups that share a position show it twice"
                raise ValueError(checks.wrong("noise", False, expected))
            return train, train.held_out(0)
        n_train: int | None = None  # the scenario's
        n_test: int | None = None
        if self.all_groups:
            n_train, n_test = map(len, data.split())
            options["include_seed"] = True
        train = prepare(
            data,
            part="train",
            n_groups=n_train,
            noise=self.noise,
            augment=bool(self.augment),
            truth=truth,
            **options,
        )
        if self.augment is None:
            train = replace(train, augment=can_augment(train.data))
        return train, prepare(data, part="test", n_groups=n_test, **options)

    def judged(self, train: Feed, test: Feed) -> list[Feed]:
        """What scores are made of: held-out objects, or else the test part."""
        if not self.held_out:
            return [test]
        first = [test] if self.renew else [train.held_out(0)]
        return first + [train.held_out(number) for number in range(1, self.held_out)]

    def network(self, train: Feed, *others: Feed, seed: int = 42) -> PtychoNet:
        """The network for these feeds, on the smallest canvas that holds their groups."""
        model = PtychoNet(
            train.N,
            train.gridsize,
            canvas_side(train.N, max(feed.largest_offset for feed in (train, *others))),
            train.intensity_scale,
            modes=len(train.source.probe),
            n_filters_scale=self.n_filters_scale,
            amplitude_activation=self.activation,
            amplitude_bias=self.bias,
            projections=self.projections,
            seed=seed,
        )
        model.set_probe(train.source.probe)
        return model

    def endless(self, renew: str) -> "Recipe":
        """The recipe with new objects, scans and photons in every pass.

        Every pattern of a scan seeds a group, and none is mirrored. There is no validation, but at
        least one held-out object.

        Parameters
        ----------
        renew : {"scan", "object", "experiment"}
            What is new.
        """
        return replace(
            self,
            renew=renew,
            held_out=max(self.held_out, 1),
            all_groups=True,
            noise="unique",
            augment=False,
            spec=replace(self.spec, validation=0.0),
        )

    def adapted(self, scenario: Scenario | None, **changes: Any) -> "Recipe":
        """The recipe with a scenario's batch size, and with the changes that are not None.

        A recipe without end keeps its own batch size.
        """
        size = self.spec.batch_size
        if scenario and not self.renew:
            size = _BATCH_SIZES.get(scenario.name, 8 if scenario.gridsize == 1 else 4)
        given: dict[str, Any] = {"batch_size": size}
        given |= {key: value for key, value in changes.items() if value is not None}
        if "object_loss" in given:
            given["weights"] = replace(self.spec.weights, object=given.pop("object_loss"))
        own = {
            key: given.pop(key)
            for key in (
                "n_filters_scale",
                "projections",
                "noise",
                "both_twins",
                "held_out",
                "refine",
            )
            if key in given
        }
        return replace(self, spec=replace(self.spec, **given), **own)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="published",
            activation="sigmoid",
            bias=0.0,
            undo_gain=False,
            refine=0,
            spec=TrainSpec(epochs=5, stop_patience=5),  # all of them, as published
        ),
        # At a constant rate the brightness after five epochs would still depend on chance.
        Recipe(name="corrected", spec=TrainSpec(epochs=5, schedule="cosine")),
        Recipe(
            name="default",
            n_filters_scale=1,
            all_groups=True,
            augment=None,
            stitch="patches",
            spec=TrainSpec(epochs=15, schedule="cosine"),
        ),
        Recipe(
            name="full",
            n_filters_scale=1,
            all_groups=True,
            augment=True,
            stitch="patches",
            spec=TrainSpec(epochs=60, schedule="cosine"),
        ),
        Recipe(
            name="endless",
            projections=4,
            n_filters_scale=1,
            stitch="patches",
            # Of what was tried it learns fastest: docs/training.md.
            spec=TrainSpec(
                epochs=30,
                schedule="cosine",
                batch_size=8,
                learning_rate=2e-3,
                weights=LossWeights(object=1.0),
            ),
        ).endless("object"),
    )
}
