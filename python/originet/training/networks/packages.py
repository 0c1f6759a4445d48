"""torchvision and timm, imported where they are needed."""

import importlib
from functools import cache
from types import ModuleType

import torch

from originet.system.errors import InputError, one_line

EXTRA = "pip install 'originet[baselines]'"

# torchvision's Python part cannot be imported without these schemas.
_DETECTION = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def torchvision_models() -> ModuleType:
    """Imports `torchvision.models`, even with a CPU-only torch.

    torchvision's wheels are CUDA builds, whose compiled library a CPU-only torch cannot load. The
    import then fails only because the schemas of two detection ops are missing, whose shapes it
    describes to the compiler. The classification networks use none of torchvision's ops. So if the
    import fails for exactly this reason, the schemas are defined here, without kernels; torchvision
    itself still reports that its ops are missing.

    Returns:
        The module.

    Raises:
        InputError: If it cannot be imported; the message says how to install it.
    """
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        ops = torch.ops.torchvision
        missing = [schema for schema in _DETECTION if not hasattr(ops, schema.partition("(")[0])]
        if not missing or "operator torchvision::" not in str(error):
            raise _not_usable("torchvision", error) from error
        for schema in missing:
            _detection_ops().define(schema)
    except (ImportError, OSError) as error:
        raise _not_usable("torchvision", error) from error
    try:
        return importlib.import_module("torchvision.models")
    except (ImportError, OSError, RuntimeError) as error:
        raise _not_usable("torchvision", error) from error


def timm_package() -> ModuleType:
    """Imports timm, which imports torchvision.

    Returns:
        The module.

    Raises:
        InputError: If it cannot be imported; the message says how to install it.
    """
    torchvision_models()
    try:
        return importlib.import_module("timm")
    except (ImportError, OSError, RuntimeError) as error:
        raise _not_usable("timm", error) from error


@cache
def _detection_ops() -> torch.library.Library:
    """Returns the library object; its definitions last as long as the object."""
    return torch.library.Library("torchvision", "FRAGMENT")


def _not_usable(package: str, error: Exception) -> InputError:
    return InputError(
        f"the networks of torchvision and timm need both ({EXTRA}), but {package} "
        f"cannot be imported: {one_line(error)}"
    )
