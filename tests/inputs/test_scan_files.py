"""Scans from files: text, NumPy and HDF5, sound and damaged ones."""

import sys

import numpy as np
import pytest

from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.optics import make_geometry
from ptycho_fast.scans import make_scan
from ptycho_fast.scans.from_file import from_file
from ptycho_fast.scenario import ScanSpec, Scenario

SHAPE = (80, 100)
XY = np.array([[10.0, 20.0], [30.5, 21.0], [50.0, 60.25]])
GEOMETRY = make_geometry(64, object_pixel_m=50e-9)


@pytest.mark.parametrize(
    "text",
    [
        "10,20\n30.5,21\n50,60.25\n",
        "10, 20\n30.5, 21\n50, 60.25",
        "10;20\r\n30.5;21\r\n50;60.25\r\n",
        "10\t20\n30.5\t21\n50\t60.25\n",
        "  10   20\n 3.05e1  21\n\n50 60.25\n\n",
        "x,y\n10,20\n30.5,21\n50,60.25\n",
        "y,x\n20,10\n21,30.5\n60.25,50\n",
        "Index,Y,X\n0,20,10\n1,21,30.5\n2,60.25,50\n",
        "# y x\n20 10\n21 30.5\n60.25 50\n",
        "// stage\n% xcoords, ycoords\n10, 20\n30.5, 21\n# pause\n50, 60.25\n",
        "scan of Monday\nN 3\nname;ycoords;xcoords\na;20;10\nb;21;30.5\nc;60.25;50\n",
        '"x","y","what, else"\n10,20,"a, b"\n30.5,21,"c"\n50,60.25,d\n',
        "10,20,\n30.5,21,\n50,60.25,\n",
        "\ufeffx,y\n10,20\n30.5,21\n50,60.25\n",
    ],
)
def test_text_of_many_spellings(tmp_path, text):
    path = tmp_path / "scan.dat"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(from_file(SHAPE, file=path), XY)


def test_columns_by_name_and_number(tmp_path):
    path = tmp_path / "scan.csv"
    path.write_text("t,stage_y,stage_x\n0,20,10\n1,21,30.5\n2,60.25,50\n")
    named = from_file(SHAPE, file=path, x_column="stage_x", y_column="stage_y")
    numbered = from_file(SHAPE, file=path, x_column="2", y_column="1")
    np.testing.assert_array_equal(named, XY)
    np.testing.assert_array_equal(numbered, XY)
    np.testing.assert_array_equal(from_file(SHAPE, file=path, x_column="stage_x")[:, 0], XY[:, 0])


def test_numpy_files(tmp_path):
    path = tmp_path / "scan"
    for arrays, options in (
        ({"xcoords": XY[:, 0], "ycoords": XY[:, 1]}, {}),
        ({"x": XY[:, :1], "y": XY[:, 1:], "other": np.ones(7)}, {}),
        ({"a": XY[:, 0], "b": XY[:, 1]}, {"x_column": "a", "y_column": "b"}),
        ({"positions": XY, "other": np.ones(7)}, {}),
        ({"anything": XY.astype(np.float32)}, {}),
        ({"p": XY[:, ::-1], "q": XY}, {"dataset": "p", "x_column": "1", "y_column": "0"}),
    ):
        with path.open("wb") as file:
            np.savez(file, **arrays)
        np.testing.assert_array_equal(from_file(SHAPE, file=path, **options), XY)
    np.save(tmp_path / "scan.npy", XY)
    np.testing.assert_array_equal(from_file(SHAPE, file=tmp_path / "scan.npy"), XY)
    fields = np.array([(2, 1), (4, 3)], dtype=[("y", "f4"), ("x", "i4")])
    np.save(tmp_path / "scan.npy", fields)
    assert from_file(SHAPE, file=tmp_path / "scan.npy").tolist() == [[1, 2], [3, 4]]


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "scan.cxi"
    with h5py.File(path, "w", userblock_size=512) as file:
        three = np.column_stack([XY, np.zeros(3)]) * 1e-6
        file["entry_1/data_1/translation"] = three
        file["entry_1/sample/x"], file["entry_1/sample/y"] = XY.T
        file["fields"] = np.array([(2, 1)], dtype=[("py", "f4"), ("px", "i4")])
    found = from_file(SHAPE, make_geometry(64, object_pixel_m=1e-6), file=path, unit="m")
    np.testing.assert_allclose(found, XY, rtol=1e-12)
    names = {"x_column": "/entry_1/sample/x", "y_column": "entry_1/sample/y"}
    np.testing.assert_array_equal(from_file(SHAPE, file=path, **names), XY)
    fields = {"dataset": "fields", "x_column": "px", "y_column": "py"}
    assert from_file(SHAPE, file=path, **fields).tolist() == [[1, 2]]
    with pytest.raises(ScenarioError, match=r"scan\.dataset: 'entry' given, expected one of entry"):
        from_file(SHAPE, file=path, dataset="entry")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=r"scan\.cxi: cannot be read .*whole HDF5 file"):
        from_file(SHAPE, file=path)
    path.write_bytes(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "h5py", None)
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(RuntimeError, match=r"h5py is not installed; pip install .*\[hdf5\]"):
            from_file(SHAPE, file=path)


@pytest.mark.parametrize(
    ("unit", "metres"), [("m", 1.0), ("mm", 1e-3), ("um", 1e-6), ("nm", 1e-9), ("pixel", 50e-9)]
)
def test_units_and_places(tmp_path, unit, metres):
    path = tmp_path / "scan.csv"
    np.savetxt(path, XY * 50e-9 / metres, delimiter=",", fmt="%.17g")
    found = from_file(SHAPE, GEOMETRY, file=path, unit=unit)
    np.testing.assert_allclose(found, XY, rtol=1e-12)
    zero = from_file(SHAPE, GEOMETRY, file=path, unit=unit, place="zero_centred")
    np.testing.assert_allclose(zero, XY + np.array([50, 40]), rtol=1e-12)
    centred = from_file(SHAPE, GEOMETRY, file=path, unit=unit, place="centred")
    low, high = centred.min(axis=0), centred.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, [50, 40], rtol=1e-12)
    np.testing.assert_allclose(np.diff(centred, axis=0), np.diff(XY, axis=0), rtol=1e-12)


def test_as_many_rows_as_there_are_or_fewer(tmp_path):
    path = tmp_path / "scan.csv"
    np.savetxt(path, XY)
    preset = Scenario.preset("gs2_ideal").replace({"scan.kind": "file", "scan.file": str(path)})
    assert preset.scan.n_patterns is None
    preset.require_runnable(groups=True)
    assert len(make_scan(preset.scan, SHAPE, 1).positions) == 3
    fewer = preset.replace({"scan.n_patterns": 2})
    np.testing.assert_array_equal(make_scan(fewer.scan, SHAPE, 1).positions, XY[:2])
    assert Scenario.from_toml(preset.to_toml()) == preset
    assert preset.replace({"scan.kind": "random"}).scan.n_patterns == 1024
    jittered = make_scan(ScanSpec(kind="file", file=str(path), jitter=1.0), SHAPE, 1)
    np.testing.assert_array_equal(jittered.nominal, XY)
    assert (jittered.positions != XY).all()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"no rows of numbers, expected at least one"),
        ("# only a comment\n", {}, "no rows of numbers"),
        ("x,y\n", {}, r"no line has two numbers \(line 1 is 'x,y'\)"),
        ("1\n2\n3\n", {}, "no line has two numbers"),
        ("1.0,abc\n2,3\n", {}, r"line 1 is '1\.0, abc', expected numbers"),
        ("1,2\n3\n", {}, "line 2 has 1 fields, expected 2"),
        ("1,2\n3,4,5\n", {}, "line 2 has 3 fields, expected 2"),
        ("1,2\n3,four\n", {}, "line 2 has 'four', expected a number"),
        ("1;2\n3,5;4\n", {}, r"line 2 has '3,5', expected a number \(with a decimal point\)"),
        ("1,2\n3,\n", {}, "line 2 has '', expected a number"),
        ("1,2\nnan,4\n", {}, r"nan in row 1 of scan\.x_column \(from 0\), expected finite"),
        ("1,2\n4,inf\n", {}, r"inf in row 1 of scan\.y_column"),
        ("1,2\n3,4\n", {"x_column": "u"}, r"scan\.x_column: 'u' given, expected a number from 0 t"),
        ("u,v\n3,4\n", {"y_column": "w"}, r"scan\.y_column: 'w' given, expected one of u, v, or a"),
        ("1,2\n3,4\n", {"x_column": "2"}, r"scan\.x_column: '2' given, expected a number from 0 "),
        ("1,2\n3,4\n", {"x_column": "1"}, r"scan\.x_column: '1' given, expected another column"),
        ("1,2\n3,4\n", {"dataset": "p"}, r"scan\.dataset: 'p' given, expected nothing, since"),
        ("1,2\n3,4\n", {"n_patterns": 3}, r"scan\.n_patterns: 3 given, expected at most 2, the nu"),
        ("1e-6,2e-6\n3e-6,4e-6\n", {}, r"scan\.unit: 'pixel' given, expected m, mm, um or nm: all"),
        ("-9,2\n-3,4\n", {}, r"scan\.file: no position of .* 80 x 100 .*x is -9 to -3 pixels.*cen"),
        ("1,2\n3,4\n", {"unit": "m"}, r"scan\.file: no position of .*scan\.unit tells"),
        ("1,2\n3,4\n", {"unit": "inch"}, "unit: 'inch' given, expected one of pixel"),
        ("1,2\n3,4\n", {"place": "left"}, "place: 'left' given, expected one of as_is"),
    ],
)
def test_refusals_of_text(tmp_path, text, options, message):
    path = tmp_path / "scan.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        from_file(SHAPE, GEOMETRY, file=path, **options)


def test_refusals_of_other_files(tmp_path):
    path = tmp_path / "scan.npz"
    with pytest.raises(FileNotFoundError, match=r"scan\.npz: no such file, expected a text"):
        from_file(SHAPE, file=path)
    with pytest.raises(ValueError, match="is a folder, expected a text"):
        from_file(SHAPE, file=tmp_path)
    for arrays, options, message in (
        (
            {"a": XY, "b": XY},
            {},
            r"scan\.x_column: nothing given, expected one of a, b, the .*data",
        ),
        ({"a": XY, "b": XY}, {"y_column": "1"}, r"scan\.y_column: '1' given, expected one of a, b"),
        ({"a": XY, "b": XY}, {"x_column": "a"}, r"scan\.y_column: nothing given, expected one of"),
        ({"a": XY}, {"dataset": "b"}, r"scan\.dataset: 'b' given, expected one of a,"),
        ({"a": XY[:, 0]}, {}, r"shape \(3,\) given, expected \(B, C\)"),
        ({"x": XY[:, 0], "y": XY[1:, 0]}, {}, r"x of shape \(3,\) and y of shape \(2,\) given"),
        ({"x": XY, "y": XY}, {}, r"x of shape \(3, 2\) and y"),
        ({"a": XY + 0j}, {}, r"complex128 array of shape \(3,\) given, expected real numbers"),
        ({"a": XY[:0]}, {}, "no rows of numbers"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=message):
            from_file(SHAPE, file=path, **options)
    np.savez(path, positions=XY)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"scan\.npz: .*cannot be read"):
        from_file(SHAPE, file=path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(ValueError, match="is a PNG picture"):
        from_file(SHAPE, file=path)
    path.write_bytes("x,y\n1,\xb5\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"byte 6 is no UTF-8"):
        from_file(SHAPE, file=path)
    path.write_text("1,2\n")
    with pytest.raises(ScenarioError) as caught:
        from_file(SHAPE, make_geometry(64), file=path, unit="um")
    assert caught.value.key == "optics.object_pixel_m"


@pytest.mark.parametrize(
    ("header", "unit", "doubtful"),
    [
        ("x_um,y_um", "pixel", "um"),
        ("x (nm),y (nm)", "um", "nm"),
        ("stage_x [mm],stage_y [mm]", "um", "mm"),
        ("x_um,y_um", "um", None),
        ("x,y", "um", None),
        ("plum,farm", "pixel", None),
    ],
)
def test_a_column_that_names_another_unit(tmp_path, header, unit, doubtful):
    path = tmp_path / "scan.csv"
    path.write_text(f"{header}\n1,2\n3,4\n")
    geometry = make_geometry(64, object_pixel_m=1e-6)
    options = {"file": path, "unit": unit, "place": "centred"}
    if doubtful is None:
        assert from_file((10_000, 10_000), geometry, **options).shape == (2, 2)
    else:
        with pytest.warns(
            DataWarning, match=rf"scan\.unit: .*{doubtful}.*is its unit '{doubtful}'"
        ):
            from_file((10_000, 10_000), geometry, **options)
