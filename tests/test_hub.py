"""The layout for huggingface/kernels, loaded by that package."""

import sys
from pathlib import Path

import kernels
import pytest
import torch
from kernels import _rust
from torch import nn

import originet_ext

sys.path.insert(0, str(Path(__file__).parents[1] / "build_tools"))
import hub


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The kernel in versions 1 and 2."""
    folders = [tmp_path_factory.mktemp("hub") for _ in range(2)]
    for version, folder in enumerate(folders, 1):
        hub.write_hub(folder, version)
    return folders


def test_two_versions_work_in_one_process_and_beside_the_package(repositories):
    first, second = (kernels.get_local_kernel(path, backend="cpu") for path in repositories)
    assert first is not second and first.ActiveImageAccumulator is not second.ActiveImageAccumulator
    names = {module._ops.ops.name for module in (first, second)} | {torch.ops.originet.name}
    assert len(names) == 3
    x = torch.linspace(-4, 4, 1001)
    frames = torch.randint(0, 256, (5, 16, 16), dtype=torch.uint8)
    for module in (first, second):
        assert module.build_info()["autograd"].startswith("Python")
        assert torch.equal(module.fused_rrelu(x), originet_ext.fused_rrelu(x))
        assert torch.equal(module.active_image(frames), originet_ext.active_image(frames))
        leaf = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(module.fused_rrelu(leaf).sum(), leaf)
        reference = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(originet_ext.fused_rrelu(reference).sum(), reference)
        assert torch.equal(grad, expected)
        name = module._ops.add_op_namespace_prefix("rrelu_forward")
        torch.library.opcheck(getattr(module._ops.ops, name.split("::")[1]).default, (x, 0.1))


def test_the_layer_takes_the_place_of_silu(repositories, monkeypatch):
    # What makes SiLU replaceable is set on the class itself.
    monkeypatch.setattr(nn.SiLU, "kernel_layer_name", "FusedRReLU", raising=False)
    monkeypatch.setattr(
        nn.SiLU, "kernel_condition", staticmethod(lambda module: True), raising=False
    )
    model = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 3))
    x = torch.randn(4, 8)
    expected = model[2](originet_ext.fused_rrelu(model[0](x)))
    layer = kernels.LocalLayerRepository(repositories[0], layer_name="FusedRReLU")
    with kernels.use_kernel_mapping({"FusedRReLU": {"cpu": layer}}, inherit_mapping=False):
        model = kernels.kernelize(
            model,
            mode=kernels.Mode.TRAINING | kernels.Mode.TORCH_COMPILE,
            device="cpu",
            use_fallback=False,
        )
    assert torch.equal(model(x), expected)
    model(x).sum().backward()
    assert model[0].weight.grad is not None


def test_the_metadata_hold_what_the_folder_has(repositories):
    for folder in repositories[0].glob("build/*"):
        metadata = _rust.Metadata.read_from_file(folder / "metadata.json")
        assert (str(metadata.name), metadata.version, metadata.license) == (
            hub.NAME,
            1,
            "Apache-2.0",
        )
        metadata.digest.validate(_rust.Digest.hash_variant(_rust.DigestAlgorithm.SHA256, folder))


def test_a_build_with_cuda_kernels_has_a_variant_for_that_cuda():
    info = {"cuda_archs": "8.0;9.0+PTX", "nvcc": "13.0"}
    cpu, cuda = (kernels.variants.parse_variant(name) for name in hub.variants(info))
    assert (cpu.arch.backend.name, cuda.arch.backend.variant_str) == ("cpu", "cu130")
    assert list(hub.variants(info).values())[1]["archs"] == ["8.0", "9.0+PTX"]


def test_what_cannot_be_renamed_is_refused():
    with pytest.raises(ValueError, match="0 places for a namespace"):
        hub.renamed(b"no mark", "name")
    field = hub.MARK + b"originet" + bytes(hub.ROOM - len(b"originet"))
    assert (
        hub.renamed(b"<" + field + b">", "other")
        == b"<" + hub.MARK + b"other".ljust(hub.ROOM, b"\0") + b">"
    )
    with pytest.raises(ValueError, match="has more than"):
        hub.renamed(field, "n" * hub.ROOM)
    with pytest.raises(ValueError, match="relative: import originet_ext as o"):
        hub.relative("import originet_ext as o\n", "name")
