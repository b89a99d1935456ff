"""Whole trainings under a name: network, data and schedule that belong together."""

from dataclasses import dataclass, field, replace
from typing import Any

from ptycho_fast.scenario import Scenario

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
    undo_gain : bool
        Whether predictions are divided by the gain before they are compared with the truth.
    n_filters_scale : int
        Size of the network.
    all_groups : bool
        Every pattern seeds a group, with itself as a member; otherwise as the scenario says.
    noise, augment
        As for `data.feed.Feed.prepare`.
    both_twins : bool
        As for `inference.predict`.
    stitch : {"groups", "patches"}
        Whether the report's object is stitched of groups at their mean, or of patches at their own
        position.
    spec : TrainSpec
        Schedule and loss.
    """

    name: str
    activation: str = "softplus"
    bias: float = 1.0
    undo_gain: bool = True
    n_filters_scale: int = 2
    all_groups: bool = False
    noise: str = "fixed"
    augment: bool = False
    both_twins: bool = False
    stitch: str = "groups"
    spec: TrainSpec = field(default_factory=TrainSpec)

    def feeds(self, data: Any, **options: Any) -> tuple[Feed, Feed]:
        """Training and test feed of a data set."""
        n_train: int | None = None  # the scenario's
        n_test: int | None = None
        if self.all_groups:
            n_train, n_test = map(len, data.split())
            options["include_seed"] = True
        return (
            prepare(
                data,
                part="train",
                n_groups=n_train,
                noise=self.noise,
                augment=self.augment,
                truth=self.spec.weights.object > 0,
                **options,
            ),
            prepare(data, part="test", n_groups=n_test, **options),
        )

    def network(self, train: Feed, test: Feed, seed: int = 42) -> PtychoNet:
        """The network for these feeds, on the smallest canvas that holds their groups."""
        model = PtychoNet(
            train.N,
            train.gridsize,
            canvas_side(train.N, max(train.largest_offset, test.largest_offset)),
            train.intensity_scale,
            modes=len(train.data.probe),
            n_filters_scale=self.n_filters_scale,
            amplitude_activation=self.activation,
            amplitude_bias=self.bias,
            seed=seed,
        )
        model.set_probe(train.data.probe)
        return model

    def adapted(self, scenario: Scenario | None, **changes: Any) -> "Recipe":
        """The recipe with a scenario's batch size, and with the changes that are not None."""
        size = 4
        if scenario:
            size = _BATCH_SIZES.get(scenario.name, 8 if scenario.gridsize == 1 else 4)
        given: dict[str, Any] = {"batch_size": size}
        given |= {key: value for key, value in changes.items() if value is not None}
        own = {
            key: given.pop(key)
            for key in ("n_filters_scale", "noise", "both_twins")
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
            spec=TrainSpec(epochs=5, stop_patience=5),  # all of them, as published
        ),
        # At a constant rate the brightness after five epochs would still depend on chance.
        Recipe(name="corrected", spec=TrainSpec(epochs=5, schedule="cosine")),
        Recipe(
            name="full",
            n_filters_scale=1,
            all_groups=True,
            augment=True,
            stitch="patches",
            spec=TrainSpec(epochs=60, schedule="cosine"),
        ),
    )
}
