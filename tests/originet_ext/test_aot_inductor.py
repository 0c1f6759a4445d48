"""AOTInductor packages: saved, loaded and run, in this process and in a new one."""

import subprocess
import sys

import pytest
import torch
from activations import randn
from torch import Tensor, nn

from originet_ext import FusedRReLU, decompositions, fused_rrelu_add

RUN = """
import sys, torch
package, tensors = sys.argv[1:3]
given, want = torch.load(tensors)
model = torch._inductor.aoti_load_package(package)
torch.testing.assert_close(model(*given), want, rtol=1e-6, atol=1e-6)
assert ("originet_ext" in sys.modules) == (len(sys.argv) > 3)
"""


class Net(nn.Module):
    """Every way in which psi can stand in a network."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.in_place = FusedRReLU(), FusedRReLU(0.3, inplace=True)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return fused_rrelu_add(self.act(a), self.in_place(b + 1), 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False], ids=["op kept", "decomposed"])
def test_package(tmp_path, kept):
    model = Net().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        model, (randn((2, 50)), randn((2, 50))), dynamic_shapes=({0: batch}, {0: batch})
    )
    if not kept:
        program = program.run_decompositions(decompositions())
    package = torch._inductor.aoti_compile_and_package(
        program, package_path=str(tmp_path / "net.pt2")
    )
    given = randn((5, 50)), randn((5, 50))
    given[0][0, :3] = torch.tensor([torch.inf, -torch.inf, 0.0])
    want = model(*given)
    loaded = torch._inductor.aoti_load_package(package)
    torch.testing.assert_close(loaded(*given), want, rtol=1e-6, atol=1e-6)

    torch.save((given, want), tmp_path / "tensors.pt")
    program = "import originet_ext\n" + RUN if kept else RUN
    arguments = [package, tmp_path / "tensors.pt", *(["kept"] if kept else [])]
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True)
