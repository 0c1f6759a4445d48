"""The paper's tables and figures: networks, ablation, comparison, and a report with all of them."""
