"""cdtools 0.3.2 opens a CXI file, models it, and takes a step."""

import numpy as np
import pytest
from foreign import check_patterns, check_positions


@pytest.mark.parametrize("kind", ["whole", "between"])
def test_cxi(program, tmp_path, request, kind):
    program("matplotlib").use("Agg")
    datasets = program("cdtools.datasets")
    data = request.getfixturevalue(kind)
    path = tmp_path / "scan.cxi"
    data.save(path)
    torch = program("torch")
    dataset = datasets.Ptycho2DDataset.from_cxi(path)
    interactions = program("cdtools.tools.interactions")
    check_patterns(dataset.patterns.numpy(), data)
    np.testing.assert_array_equal(dataset.mask.numpy(), data.mask)
    assert float(dataset.wavelength) == pytest.approx(data.geometry.wavelength_m, rel=1e-5)
    assert float(dataset.detector_geometry["distance"]) == 2

    model = program("cdtools.models").FancyPtycho.from_dataset(dataset, n_modes=2, obj_padding=4)
    rows_columns = interactions.translations_to_pixel(
        model.obj_basis, dataset.translations, surface_normal=model.surface_normal
    ).numpy()
    check_positions(rows_columns[:, ::-1], data, absolute=False, tolerance=5e-3)  # float32
    with torch.no_grad():
        made = model.forward(torch.arange(2), dataset.translations[:2])
    assert torch.isfinite(made).all()
    # Unsigned counts open, and fail here.
    loss = next(iter(model.Adam_optimize(1, dataset, lr=0.01, batch_size=6)))
    assert np.isfinite(float(loss))
