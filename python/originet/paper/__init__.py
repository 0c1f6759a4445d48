"""The paper's tables and figures: its networks, its ablation, its comparison, all in one report."""
