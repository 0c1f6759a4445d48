"""
psi as a drop-in activation
===========================

Put psi, the refined ReLU, into a network in three ways: as a module, by swapping the activations of
a model that exists, and by name in timm.
"""

import timm
import torch
from torch import nn

from originet_ext import FusedRReLU, register_with_timm, replace_activations

# %%
# As a module
# -----------
# ``FusedRReLU`` stands wherever ``nn.ReLU`` or ``nn.SiLU`` could stand. It has no parameters.

model = nn.Sequential(nn.Conv2d(3, 8, 3), FusedRReLU(), nn.Flatten(), nn.LazyLinear(4))
model(torch.rand(2, 3, 32, 32)).sum().backward()

# %%
# Swap the activations of a model
# -------------------------------
# ``replace_activations`` changes the model in place and returns how many activations it swapped.
# ``left`` names those out of its reach, such as a call of ``F.relu`` inside a ``forward``.

encoder = nn.TransformerEncoderLayer(64, 4, dim_feedforward=128, batch_first=True)
swapped = replace_activations(encoder)
print(f"{swapped} swapped, left as they are: {list(swapped.left)}")

# %%
# By name in timm
# ---------------
# After ``register_with_timm``, every timm model takes psi as ``act_layer="fused_rrelu"``.

register_with_timm()
model = timm.create_model("resnet18", act_layer="fused_rrelu", num_classes=4)
print(sum(isinstance(module, FusedRReLU) for module in model.modules()), "activations are psi")

# %%
# Training is the same as with any other activation.

images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 3])
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss = nn.functional.cross_entropy(model(images), labels)
loss.backward()
optimizer.step()
print(f"loss {loss.item():.2f}")
