"""Builds a network of timm with psi as its activation, asked for by name, and trains one step."""

import timm
import torch

from originet_ext import FusedRReLU, register_with_timm

register_with_timm()
model = timm.create_model("resnet18", act_layer="fused_rrelu", num_classes=4)
print(sum(isinstance(module, FusedRReLU) for module in model.modules()), "activations are psi")

images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 3])
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss = torch.nn.functional.cross_entropy(model(images), labels)
loss.backward()
optimizer.step()
print(f"loss {loss.item():.2f}")
