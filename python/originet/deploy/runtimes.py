"""A model as one network for ONNX Runtime, OpenVINO or AOTInductor: written, quantised and run.

The network takes active images, uint8 [batch, S, S], standardises each, and returns the mean of the
ensemble's probabilities. OrigiNets are written as `originet.deploy.folded` copies, so their files
are smaller than the model's; other networks are written as they are. Packages of the extra `export`
are imported where they are used.
"""

import contextlib
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from originet.deploy.folded import Folded, can_fold
from originet.deploy.model import Model
from originet.system.choices import RUNTIMES
from originet.system.errors import InputError
from originet.training.model import OrigiNet
from originet.training.predict import standardised
from originet_ext import decompositions

INPUT, OUTPUT = "images", "probabilities"
"""Names of the network's input and output."""
FILES = {"onnx": ("model.onnx",), "openvino": ("model.xml", "model.bin"), "aoti": ("model.pt2",)}
"""The network's files, by runtime; the first one is to be opened."""
OPSET = 18

_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "aoti": ()}
_PACKAGES["openvino"] = (*_PACKAGES["onnx"], "openvino")
_BATCH = 32  # of a calibration
_LARGEST = 2**16  # images in a batch

Images = NDArray[np.uint8]
Answer = Callable[[Images], NDArray[np.float32]]
"""Maps images [N, S, S] to probabilities [N, C]."""


class Ensemble(nn.Module):
    """The networks of a model and what stands before and after them.

    Raises:
        InputError: If one of the networks is not on the CPU in evaluation mode, or an OrigiNet that
            cannot be folded.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._folded: list[Folded] = []
        self.others = nn.ModuleList()
        for network in model.networks:
            if can_fold(network):
                self._folded.append(Folded(cast(OrigiNet, network), packed=False))
            elif _is_plain(network):
                self.others.append(network)
            else:
                raise InputError("only a model on the CPU, in evaluation mode, can be exported")

    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, S, S] uint8 to [N, C] float32."""
        x = standardised(images).unsqueeze(1)
        three = x.expand(-1, 3, -1, -1)
        logits = [folded(x) for folded in self._folded]
        logits += [other(three) for other in self.others]
        return torch.stack([each.softmax(dim=1) for each in logits]).mean(dim=0)


def _is_plain(network: nn.Module) -> bool:
    """Returns whether a network that is no OrigiNet is on the CPU and in evaluation mode."""
    training = any(module.training for module in network.modules())
    on_cpu = all(value.is_cpu for value in network.state_dict().values())
    return not isinstance(network, OrigiNet) and on_cpu and not training


def check_runtime(runtime: str, int8: bool = False) -> None:
    """Checks that a runtime is known and that its packages are installed.

    Raises:
        InputError: If not; the message says what to install.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"--to must be one of {', '.join(RUNTIMES)}, got {runtime!r}")
    if int8 and runtime == "aoti":
        raise InputError("--int8 is for onnx and openvino: AOTInductor computes in float32")
    lacking = [name for name in _PACKAGES[runtime] if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(
            f"--to {runtime} needs {', '.join(lacking)}: pip install 'originet[export]'"
        )


def to_onnx(model: Model) -> bytes:
    """Writes a model as an ONNX file of standard operators."""
    import onnx

    with torch.no_grad(), _quiet():
        names: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT]}
        program: Any = torch.onnx.export(
            _program(model), opset_version=OPSET, verbose=False, **names
        )
    made: onnx.ModelProto = program.model_proto
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for part in (*made.graph.node, *made.graph.value_info, *made.graph.input, *made.graph.output):
        del part.metadata_props[:]  # where in this program each node comes from
    return made.SerializeToString()


def to_aoti(model: Model) -> bytes:
    """Compiles a model for this processor and this version of torch.

    Raises:
        InputError: If there is no C++ compiler.
    """
    from torch._inductor import aoti_compile_and_package, exc

    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), _quiet():
        path = Path(folder) / FILES["aoti"][0]
        try:
            aoti_compile_and_package(_program(model), package_path=str(path))
        except exc.InductorError as error:
            reason = error.inner_exception
            if not isinstance(reason, exc.InvalidCxxCompiler | exc.CppCompileError):
                raise
            raise InputError(f"--to aoti needs a C++ compiler that works: {reason}") from error
        return path.read_bytes()


def to_openvino(onnx_file: bytes) -> tuple[bytes, bytes]:
    """Converts an ONNX file, quantised or not.

    Returns:
        The .xml and the .bin file.
    """
    import openvino

    made = openvino.Core().read_model(onnx_file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES["openvino"][0]
        openvino.save_model(made, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def quantise(onnx_file: bytes, images: Images) -> bytes:
    """Quantises the convolutions after each network's first, and its last map, to 8 bits.

    Weights are quantised per channel, in 7 bits: without VNNI, processors add products of 8 bits in
    16, which would saturate. The first convolutions read one channel, which is little work, and
    their input decides all that follows: they stay in float32.

    Args:
        onnx_file: From `to_onnx`.
        images: [N, S, S], what the network will see: their activations set the ranges.

    Returns:
        An ONNX file with QuantizeLinear and DequantizeLinear around what is quantised.
    """
    import onnx
    from onnxruntime import quantization

    network = onnx.load_from_string(onnx_file)
    shapes = {value.name: list(value.dims) for value in network.graph.initializer}
    first = [
        node.name
        for node in network.graph.node
        if node.op_type == "Conv" and shapes[node.input[1]][1] == 1
    ]

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            starts = range(0, len(images), _BATCH)
            self._batches = iter([{INPUT: images[at : at + _BATCH]} for at in starts])

        def get_next(self) -> dict[str, Images] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / FILES["onnx"][0]
        quantization.quantize_static(
            network,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm"],
            nodes_to_exclude=first,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return path.read_bytes()


def load(runtime: str, files: tuple[bytes, ...], threads: int) -> Answer:
    """Loads a network as its users would.

    Args:
        runtime: One of `RUNTIMES`.
        files: The contents of `FILES`.
        threads: Threads to compute with; AOTInductor's are torch's.

    Returns:
        A function that computes probabilities.
    """
    return {"onnx": _in_onnxruntime, "openvino": _in_openvino, "aoti": _in_aoti}[runtime](
        files, threads
    )


def _in_onnxruntime(files: tuple[bytes, ...], threads: int) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Between two calls its threads would take the cores from whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])
    return lambda images: cast(Any, session.run([OUTPUT], {INPUT: images})[0])


def _in_openvino(files: tuple[bytes, ...], threads: int) -> Answer:
    import openvino

    core = openvino.Core()
    # Where the processor has bfloat16, that would be the default.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(core.read_model(*files), "CPU", options)
    return lambda images: cast(Any, compiled([images])[0].copy())


def _in_aoti(files: tuple[bytes, ...], threads: int) -> Answer:
    from torch._inductor import aoti_load_package

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES["aoti"][0]
        path.write_bytes(files[0])
        compiled = aoti_load_package(str(path))

    def answer(images: Images) -> NDArray[np.float32]:
        with torch.inference_mode():
            return cast(Any, compiled(torch.tensor(images)).numpy())

    return answer


def _program(model: Model) -> torch.export.ExportedProgram:
    side = model.settings.image_size
    batch = torch.export.Dim("batch", min=1, max=_LARGEST)
    given = torch.zeros(2, side, side, dtype=torch.uint8)
    program = torch.export.export(Ensemble(model).eval(), (given,), dynamic_shapes=({0: batch},))
    return program.run_decompositions(decompositions())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the tools' advice to their own users out of ours' terminal; errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
