import pytest

from originet.spotting.settings import Settings
from originet.system.errors import InputError


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_setting_that_is_no_time_or_size_is_refused(value):
    with pytest.raises(InputError, match="window must be above 0"):
        Settings(window=value)
