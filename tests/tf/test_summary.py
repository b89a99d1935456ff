"""The summary of a run: verdict, columns, pictures, and the published numbers beside its own."""

import re

import pytest
from networks import trained

from ptycho_fast import Scenario
from ptycho_fast.report.published import published_numbers
from ptycho_fast.tf import prepare, run
from ptycho_fast.tf.recipes import RECIPES
from ptycho_fast.tf.summary import markdown, number, verdict


@pytest.fixture(scope="module")
def metadata(data, tmp_path_factory):
    """Of a run of two epochs."""
    train, test = prepare(data), prepare(data, part="test")
    trainer = trained(train)
    recipe = RECIPES["corrected"]
    asked = run.request("gs2_ideal", recipe, data.scenario, 42)
    folder = tmp_path_factory.mktemp("run")
    options = {"folder": folder, "asked": asked, "start": 0.0, "draw": True}
    written = run.report(trainer.model, recipe, train, test, trainer.history, **options)
    assert (folder / "summary.md").read_text() == markdown(written)
    return written


def with_score(metadata, *, ratio, r, totals=0.87, **changes):
    """The metadata of a run with another result."""
    network = metadata["refinement"]["columns"]["network"] | {"ratio": ratio, "pearson_r": r}
    return metadata | {
        "refinement": {"passes": 0, "columns": {"network": network}},
        "score": metadata["score"] | {"totals_pearson_r": totals},
        **changes,
    }


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"ratio": 1.0003, "r": 0.9990}, ("scale is right", "0.03 % brighter", "picture is right")),
        ({"ratio": 0.972, "r": 0.96}, ("nearly right**: the object is 2.8 % darker", "0.9600")),
        ({"ratio": 0.646, "r": 0.92}, ("scale is wrong", "blurred", "twin")),
        ({"ratio": 1.0, "r": 0.87}, ("picture is wrong", "alone gives 0.8700", "the training")),
        ({"ratio": 1.0, "r": None}, ("picture is empty",)),
        ({"ratio": 1.0, "r": 0.9, "totals": None}, ("blurred",)),
        ({"ratio": 1.0, "r": 0.92, "twins": False}, ("likelihood",)),
    ],
)
def test_verdict(metadata, result, words):
    sentences = verdict(with_score(metadata, **result))
    assert [s.count(". ") for s in sentences] == [0, 0, 0]
    assert all(s.startswith("**") and s.endswith(".") for s in sentences)
    for word in words:
        assert word in " ".join(sentences)


def test_a_wrong_scale(metadata):
    forward = metadata["forward_pass_diagnostics"]
    wrong = forward | {"model_exp_log_scale": 100.0, "scale_discrepancy_flag": True}
    changed = with_score(metadata, ratio=1.0, r=0.9, forward_pass_diagnostics=wrong)
    assert verdict(changed)[0].startswith("**The scale is wrong**: the intensity scale is 100.0 in")


def test_the_published_recipe(metadata):
    request = metadata["request"]
    recipe = request["recipe"] | {"undo_gain": False, "activation": "sigmoid"}
    changed = metadata | {"request": request | {"recipe": recipe}}
    assert "the gain 1.000 of the normalisation is not undone" in verdict(changed)[2]
    assert "'sigmoid'" in verdict(changed)[2]


def test_order(metadata):
    """Verdict, columns, pictures, published keys; one row about NaN."""
    text = markdown(metadata)
    parts = ("**The scale", "**The picture", "**What limits", "|  | network |", "![", "## Pub")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count("NaN") == 1
    assert "| NaN | none |" in text
    assert "nan_first_epoch" not in text


def test_digits(metadata):
    """No number has more than four significant digits."""
    for line in markdown(metadata).splitlines():
        for digits in re.findall(r"(?<![\d.])-?\d+\.\d+(?:e[+-]\d+)?", line):
            mantissa = digits.split("e")[0].lstrip("-0.").replace(".", "")
            assert len(mantissa) <= 4, line
    assert number(0.12345678) == "0.1235"


def test_a_published_column_only_for_the_same_data(metadata):
    assert "published |" not in markdown(metadata)  # a smaller scenario of the same name
    scenario = Scenario.preset("gs2_ideal").to_dict()
    same = metadata | {"request": metadata["request"] | {"scenario": scenario}}
    text = markdown(same)
    ours = metadata["forward_pass_diagnostics"]["output_mean"]
    assert f"| output_mean | {number(ours)} | 0.6341 |" in text
    assert "| NaN | none | none |" in text
    assert re.search(r"\| batch_size \| \d+ \| 4 \|", text)
    assert "| deviance.last |" in text  # without a published value
    assert text.count("| quantity | this run | published |") == 9
    for key, section in published_numbers(Scenario.preset("gs2_ideal")).items():
        assert section.keys() <= metadata[key].keys()


def test_a_file_without_a_scenario(metadata):
    request = metadata["request"] | {"scenario": None, "source": "mine.npz"}
    text = markdown(metadata | {"request": request})
    assert text.startswith("# mine.npz, recipe corrected\n")
    assert "published |" not in text
