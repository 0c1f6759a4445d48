"""Table V: layers, parameters and memory of networks as they are published. Needs no data."""

from typing import Any

from originet.baselines import NETWORKS


def table_v() -> list[dict[str, Any]]:
    """Counts layers and parameters of the networks of Table V, as published; needs no data.

    Returns:
        One record a network: network, classes, layers, depth, parameters, mib_at_4_bytes and
        mib_at_8_bytes; the paper's paper_layers, paper_parameters_millions and paper_memory_mb;
        and which of ours is the paper's: layers_agree ("layers", "depth" or None),
        parameters_agree, memory_agrees (bytes a parameter, or None).

    Raises:
        InputError: If torchvision or timm cannot be imported.
    """
    records = []
    for network in NETWORKS:
        paper, (size, agrees) = network.table_v, network.published()
        records.append(
            {
                "network": network.name,
                "classes": network.published_classes,
                **size._asdict(),
                "mib_at_4_bytes": size.mib(4),
                "mib_at_8_bytes": size.mib(8),
                "paper_layers": paper.layers,
                "paper_parameters_millions": paper.parameters,
                "paper_memory_mb": paper.memory,
                "layers_agree": agrees["layers"],
                "parameters_agree": agrees["parameters"],
                "memory_agrees": agrees["memory"],
            }
        )
    return records
