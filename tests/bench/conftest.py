"""What several benchmarks' tests need."""

import pytest

from originet.bench import active_image


@pytest.fixture
def small_caches(monkeypatch):
    """Caches so small that a few small clips lie outside of them."""
    monkeypatch.setattr(active_image, "cache_sizes", lambda device: (1 << 10, 40 << 10))
