"""Fused CPU and CUDA kernels for the refined ReLU and for active imaging, as PyTorch ops.

The maths is Verma et al., "Non-Linearities Improve OrigiNet based on Active Imaging for Micro
Expression Recognition", IJCNN 2020 (arXiv:2005.07991).
"""

from originet_ext import _rules, _tracing, reference  # noqa: F401  (_rules registers)
from originet_ext._decomposition import decompositions
from originet_ext._library import build_info, native
from originet_ext._timm import register_with_timm
from originet_ext._weights import method_weights
from originet_ext.accumulator import ActiveImageAccumulator
from originet_ext.active_image import METHODS, MOTION_METHODS, NORMALIZATIONS, active_image
from originet_ext.hybrid_conv import can_hybrid_conv, hybrid_conv
from originet_ext.replace import replace_activations
from originet_ext.rrelu import (
    FusedRReLU,
    fused_rrelu,
    fused_rrelu_,
    fused_rrelu_add,
)
from originet_ext.rrelu_norm import fused_rrelu_add_norm
from originet_ext.sliding import sliding_active_images
from originet_ext.temporal_pool import temporal_pool

if native is None:
    from originet_ext import _derivatives  # noqa: F401  (registers too)

__all__ = [
    "METHODS",
    "MOTION_METHODS",
    "NORMALIZATIONS",
    "ActiveImageAccumulator",
    "FusedRReLU",
    "active_image",
    "build_info",
    "can_hybrid_conv",
    "decompositions",
    "fused_rrelu",
    "fused_rrelu_",
    "fused_rrelu_add",
    "fused_rrelu_add_norm",
    "hybrid_conv",
    "method_weights",
    "reference",
    "register_with_timm",
    "replace_activations",
    "sliding_active_images",
    "temporal_pool",
]

_tracing.register()
