"""pty-chi 2.2.0 takes object, probe, positions and patterns out of the pair of files."""

import h5py
import numpy as np
import pytest
from foreign import check_model, check_patterns, check_positions

import ptycho_fast


@pytest.fixture
def ptychi(program):
    """Its interface. It needs torchvision for a filter that is plain Python."""
    program("ptychi")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # its extension is of another build of torch; two operators are declared
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    yield program("ptychi.api"), program("ptychi.api.task")  # noqa: PT022 (keeps the library)


@pytest.mark.parametrize("kind", ["whole", "between"])
def test_pair(ptychi, program, tmp_path, request, kind):
    api, task = ptychi
    torch = program("torch")
    data = request.getfixturevalue(kind)
    data.save(tmp_path / "scan.hdf5", format="ptychovit")
    # pty-chi has no reader: this is what its own tests do with such files.
    with h5py.File(tmp_path / "scan_dp.hdf5") as dp, h5py.File(tmp_path / "scan_para.hdf5") as para:
        patterns, obj, probe = dp["dp"][:], para["object"][:], para["probe"][:]
        pixel = float(para["object"].attrs["pixel_height_m"])
        y, x = (para[f"probe_position_{axis}_m"][:] / pixel for axis in "yx")
    check_patterns(patterns, data)
    options = api.LSQMLOptions()
    options.reconstructor_options.default_device = api.Devices.CPU
    options.object_options.pixel_size_m = pixel
    work = task.PtychographyTask(
        options,
        diffraction_data=patterns,
        object_data=torch.as_tensor(obj),
        probe_data=torch.as_tensor(probe),
        probe_position_x_px=x,
        probe_position_y_px=y,
    )
    origin = work.object.pos_origin_coords.cpu().numpy()
    middle = np.stack([y, x], axis=1) + origin  # of the patch, (N - 1) / 2
    check_positions(middle[:, ::-1] + 0.5, data, tolerance=1e-4)
    with torch.no_grad():
        made = work.reconstructor.forward_model.forward(torch.arange(len(x))).cpu().numpy()
    factor = check_model(np.fft.fftshift(made, (-2, -1)), data)
    assert factor == pytest.approx(1, rel=0.02)  # its photons are ours


@pytest.mark.parametrize("kind", ["whole", "between"])
def test_packed_shard(ptychi, program, tmp_path, request, kind):
    """The loader of ptycho-fm cuts patches out of the object with a function of pty-chi."""
    torch, image_proc = program("torch"), program("ptychi.image_proc")
    data = request.getfixturevalue(kind)
    shard, *_ = data.save(tmp_path / "pack", format="ptycho-fm")
    with h5py.File(shard, "r", libver="latest", swmr=True) as file:
        check_patterns(file["dp"][0], data)
        obj, pixel = file["object"][0, 0], file["pixel_height_m"][0]
        yx = np.stack([file[f"probe_position_{axis}_m"][0] for axis in "yx"], axis=1) / pixel
    at = yx + np.round(np.array(obj.shape) / 2) + 0.5  # as it adds the middle of the object
    check_positions(at[:, ::-1] + 0.5, data, tolerance=1e-6)
    patches = image_proc.extract_patches_fourier_shift(
        torch.as_tensor(obj), torch.as_tensor(at.astype(np.float32)), (64, 64)
    ).numpy()
    ours = ptycho_fast.extract_patches(data.object, data.positions, 64)
    # Between pixels it shifts by a Fourier transform, and we interpolate.
    bound = 1e-4 if kind == "whole" else 0.05
    inner = np.s_[:, 8:-8, 8:-8]
    assert np.linalg.norm((patches - ours)[inner]) < bound * np.linalg.norm(ours[inner])
