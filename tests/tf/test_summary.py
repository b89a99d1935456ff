"""The summary of a run: verdict, columns, pictures, and the published numbers beside its own."""

import re

import numpy as np
import pytest
from networks import trained

from ptycho_fast import Scenario, simulate
from ptycho_fast.errors import DataWarning
from ptycho_fast.quality import fourier_ring_correlation
from ptycho_fast.report.published import published_numbers
from ptycho_fast.tf import comparison, pictures, prepare, run
from ptycho_fast.tf.comparison import Found, compared
from ptycho_fast.tf.recipes import RECIPES
from ptycho_fast.tf.summary import markdown, number, verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a run of two epochs and a short refinement."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def metadata(data, folder):
    train, test = prepare(data), prepare(data, part="test")
    trainer = trained(train)
    recipe = RECIPES["corrected"].adapted(data.scenario, refine=3)
    asked = run.request("gs2_ideal", recipe, data.scenario, 42)
    options = {"folder": folder, "asked": asked, "start": 0.0, "draw": True}
    return run.report(trainer.model, recipe, train, test, trainer.history, **options)


def with_score(metadata, *, ratio, r, totals=0.87, **changes):
    """The metadata of a run without refinement and with another result."""
    refinement = metadata["refinement"]
    network = refinement["columns"]["network"] | {"ratio": ratio, "pearson_r": r}
    return metadata | {
        "refinement": refinement | {"passes": 0, "columns": {"network": network}},
        "score": metadata["score"] | {"totals_pearson_r": totals},
        **changes,
    }


def with_refined(metadata, *, limit, flat=None, noise=None, **changes):
    """The metadata with another result of the refinement."""
    refinement = metadata["refinement"]
    columns = refinement["columns"]
    refined = columns["refined"] | changes
    flat = columns["flat"] | {"normalised_error": flat or refined["normalised_error"]}
    columns = columns | {"refined": refined, "flat": flat}
    known = {"photon_limit": limit, "noise_misfit": noise}
    return metadata | {"refinement": refinement | known | {"columns": columns}}


# --- the verdict ---


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"ratio": 1.0003, "r": 0.9990}, ("scale is right", "0.03 % brighter", "picture is right")),
        ({"ratio": 0.972, "r": 0.96}, ("nearly right**: the object is 2.8 % darker", "0.9600")),
        ({"ratio": 0.646, "r": 0.92}, ("scale is wrong", "blurred", "twin")),
        ({"ratio": 1.0, "r": 0.87}, ("picture is wrong", "alone gives 0.8700", "the training")),
        ({"ratio": 1.0, "r": None}, ("picture is empty",)),
        ({"ratio": 1.0, "r": 0.9, "totals": None}, ("blurred",)),
        ({"ratio": 1.0, "r": 0.92, "twins": False}, ("the training, whose likelihood",)),
        (
            {"ratio": 1, "r": 0.98, "twins": False, "likelihood": {"above_saturated_pct": 0.005}},
            ("what the patterns of one group leave open", "to 0.005 % of the likelihood"),
        ),
    ],
)
def test_verdict(metadata, result, words):
    sentences = verdict(with_score(metadata, **result))
    assert [s.count(". ") for s in sentences] == [0, 0, 0]
    assert all(s.startswith("**") and s.endswith(".") for s in sentences)
    for word in words:
        assert word in " ".join(sentences)


def lit(seldom, often):
    """Errors where one pattern and where four light a pixel; half of the pixels each."""
    return {
        "1": {"pixels": 100, "pearson_r": 0.9, "normalised_error": seldom},
        "3-4": {"pixels": 100, "pearson_r": 0.9, "normalised_error": often},
    }


FLAT = [{"misfit": 2e-3}] * 3  # nothing changes any more


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"limit": 0.01, "normalised_error": 0.02}, "the photons, which allow an error of 1 %"),
        (
            {
                "limit": 0.001,
                "normalised_error": 0.08,
                "by_coverage": lit(0.1, 0.05),
                "history": [{"misfit": m} for m in (0.1, 0.03, 0.02)],
            },
            "the number of passes: after 3 the error is 8 %, where the photons allow 0.1 %, and "
            "the misfit of the patterns was still falling by 33 % in a pass",
        ),
        (
            {
                "limit": 0.001,
                "normalised_error": 0.08,
                "by_coverage": lit(0.1, 0.05),
                "history": FLAT,
            },
            "the overlap: the 50 % of the pixels that one or two patterns light have 80 % of",
        ),
        (
            {
                "limit": 0.001,
                "normalised_error": 0.02,
                "by_coverage": lit(0.02, 0.02),
                "history": FLAT,
            },
            "the 3 passes of the refinement, whose error is 2 %, where the photons allow 0.1 %",
        ),
        (
            {
                "limit": None,
                "normalised_error": 0.02,
                "by_coverage": lit(0.1, 0.2),
                "history": FLAT,
            },
            "is 2 %.",
        ),
        (
            {
                "limit": 0.001,
                "normalised_error": 0.02,
                "by_coverage": lit(0.02, 0.02),
                "noise": 1e-3,
                "history": [{"misfit": 5e-3}, {"misfit": 1.2e-3}],
            },
            "(misfit 0.001200, noise 0.001000), and yet the error is 2 %",
        ),
        (
            {"limit": 0.001, "normalised_error": 0.08, "flat": 0.02},
            "a worse start than none: from a flat start the error is 2 %, from there 8 %",
        ),
        ({"limit": None, "stopped": "diverged"}, "diverged, and its best pass is shown"),
    ],
)
def test_what_limits_a_refinement(metadata, result, words):
    assert words in verdict(with_refined(metadata, **result))[2]


def test_a_short_refinement_is_short_and_not_right(metadata):
    """As it is after three passes: the reason is their number, and no word of right details."""
    changed = with_refined(metadata, limit=1e-4, pearson_r=0.83, frc={"crossing": None})
    score = metadata["score"] | {"totals_pearson_r": 0.87}
    _, picture, limit = verdict(changed | {"score": score})
    assert "picture is wrong" in picture
    assert " right" not in picture
    assert "details down to a pixel are like" in picture
    assert limit.startswith("**What limits it**: the number of passes: after 3 the error")


def test_details(metadata):
    told = {None: "down to a pixel", 0.25: "down to 2 pixels", 0.0: "coarsest features are wrong"}
    for crossing, words in told.items():
        for r in (0.5, 0.97):
            frc = {"crossing": crossing}
            picture = verdict(with_refined(metadata, limit=None, frc=frc, pearson_r=r))[1]
            assert words in picture
            assert ("details are right" in picture) == (r > 0.95 and crossing != 0)


def test_a_wrong_scale(metadata):
    forward = metadata["forward_pass_diagnostics"]
    wrong = forward | {"model_exp_log_scale": 100.0, "scale_discrepancy_flag": True}
    changed = with_score(metadata, ratio=1.0, r=0.9, forward_pass_diagnostics=wrong)
    assert verdict(changed)[0].startswith("**The scale is wrong**: the intensity scale is 100.0 in")


def test_the_published_recipe(metadata):
    request = metadata["request"]
    recipe = request["recipe"] | {"undo_gain": False, "activation": "sigmoid"}
    changed = metadata | {"request": request | {"recipe": recipe}}
    limit = verdict(with_score(changed, ratio=0.6, r=0.1))[2]
    assert "the gain 1.000 of the normalisation is not undone" in limit
    assert "'sigmoid'" in limit


# --- the page ---


def test_order(metadata):
    """Verdict, three columns, pictures, published keys; one row about NaN."""
    text = markdown(metadata)
    columns = "|  | network | network + refinement | flat start + refinement |"
    parts = ("**The scale", "**The picture", "**What limits", columns, "![", "## Published keys")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "uses the test patterns themselves" in text
    assert text.count("NaN") == 1
    assert "| NaN | none |" in text
    assert "nan_first_epoch" not in text


def test_columns(metadata, data, folder):
    """The objects in the files are those of the columns."""
    columns = metadata["refinement"]["columns"]
    assert list(columns) == ["network", "refined", "flat"]
    assert columns["flat"]["ratio"] == pytest.approx(1, abs=0.1)
    assert columns["refined"]["seconds"] > columns["network"]["seconds"]
    assert [len(columns[name]["history"]) for name in columns] == [0, 3, 3]
    with np.load(folder / "refined.npz") as refined, np.load(folder / "prediction.npz") as network:
        objects = {"network": network["stitched"], **{k: refined[k] for k in ("refined", "flat")}}
        covered = refined["covered"]
    again = compared({k: Found(object=v, seconds=0.0) for k, v in objects.items()}, covered, data)
    for name, column in again["columns"].items():
        assert column["pearson_r"] == pytest.approx(columns[name]["pearson_r"], rel=1e-5)
    for key in ("photon_limit", "noise_misfit"):
        assert again[key] == metadata["refinement"][key]


def test_the_noise_misfit(metadata, data):
    """That of the expected patterns, at the photons of the data."""
    test = data.split()[1]
    expected = simulate(data.scenario, noise=False).amplitude(test)
    measured = data.amplitude(test)
    misfit = np.square(expected - measured).sum() / np.square(measured).sum()
    assert metadata["refinement"]["noise_misfit"] == pytest.approx(misfit, rel=0.2)


def test_a_complex_object_has_a_phase(metadata):
    refinement = metadata["refinement"]
    columns = refinement["columns"]

    def with_phase(**phase):
        phase = columns["network"]["phase"] | phase
        changed = {name: column | {"phase": phase} for name, column in columns.items()}
        return markdown(metadata | {"refinement": refinement | {"columns": changed}})

    row = "| phase error, rad rms | 0.01235 | 0.01235 | 0.01235 |"
    assert row in with_phase(pearson_r=0.5, rmse=0.0123456)
    assert row in with_phase(pearson_r=None, rmse=0.0123456)  # a real object, found with a phase
    assert "phase error" not in with_phase(pearson_r=None, rmse=1e-5)


def test_pictures(metadata, folder):
    """Each one is there and linked, and no other."""
    linked = re.findall(r"\]\((.*)\)", (folder / "summary.md").read_text())
    assert linked == metadata["pictures"]
    assert sorted(linked) == sorted(path.name for path in folder.glob("*.png"))
    for name in linked:
        assert (folder / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_written_twice_alike(metadata, folder):
    assert (folder / "summary.md").read_text() == markdown(metadata)


def test_data_that_cannot_be_refined(metadata, data, folder, tmp_path, monkeypatch):
    """The network's report stays."""
    train, test = prepare(data), prepare(data, part="test")
    recipe = RECIPES["corrected"].adapted(data.scenario, refine=3)
    options = {"folder": tmp_path, "asked": metadata["request"], "start": 0.0, "draw": False}
    refused = ValueError("part: 2 patterns that overlap nowhere")
    monkeypatch.setattr(comparison, "refine", lambda *_, **__: (_ for _ in ()).throw(refused))
    trainer = trained(train)
    with pytest.warns(DataWarning, match="refinement left out: part: 2 patterns that overlap"):
        written = run.report(trainer.model, recipe, train, test, trainer.history, **options)
    assert written["refinement"]["passes"] == 0
    assert list(written["refinement"]["columns"]) == ["network"]
    assert "|  | network |\n" in (tmp_path / "summary.md").read_text()


def test_scattered_pixels_have_no_ring_correlation():
    """There is no rectangle of which most is covered."""
    scattered = np.zeros((30, 30), bool)
    scattered[::3, ::3] = True
    truth = np.random.default_rng(0).random((30, 30))
    assert fourier_ring_correlation(truth, truth, scattered) is None


def test_phase_pictures(tmp_path):
    """Drawn where the truth has a phase; a constant one between truth and found is taken out."""
    truth = np.exp(1j * np.linspace(0, 1, 400).reshape(20, 20))
    seen = np.ones((20, 20), bool)
    names = pictures.objects(truth, {"found": 1j * truth}, seen, tmp_path)
    assert names == ["amplitude.png", "phase.png", "difference.png"]
    rings = fourier_ring_correlation(truth, truth + 0.1)
    pictures.ring_correlations({"found": rings.summary()}, tmp_path / "frc.png")
    assert all((tmp_path / name).stat().st_size for name in [*names, "frc.png"])


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
