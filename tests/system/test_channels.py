"""What the names of channels mean."""

import pytest

from originet.system import channels
from originet.system.channels import channels_of, is_one_image, sources_of
from originet.system.choices import FLOWS, METHODS, SOURCES
from originet.system.errors import InputError


def test_a_source_is_one_channel_or_a_flow_of_three():
    for source in SOURCES:
        found = channels_of(source)
        assert sources_of(source) == (source,)
        assert len(found) == channels.channel_count(source) == (3 if source in FLOWS else 1)
        assert is_one_image(source) == (source not in FLOWS)
    assert [tuple(each) for each in channels_of("rank,dis,onset")] == [
        *(("rank", "grey"), ("dis-u", "u"), ("dis-v", "v"), ("dis-strain", "value")),
        ("onset", "grey"),
    ]
    assert not is_one_image("rank,onset")


def test_own_channels_are_vectors_where_u_and_v_stand_together():
    assert [each.kind for each in channels_of("own:heat,u,v,2")] == ["value", "u", "v", "value"]
    assert not is_one_image("own:heat")
    with pytest.raises(InputError, match="names arrays of your own"):
        sources_of("own:heat")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("sum", "method must be one of cumulative, .*tvl1, got 'sum'"),
        ("", "method must be one of .*, got ''"),
        ("rank,sum", "each of method 'rank,sum' must be one of .*, got 'sum'"),
        ("rank, dis", "got ' dis'"),
        ("rank,dis,rank", "names a channel twice"),
        ("own:", "must be of a-z, 0-9, -, got ''"),
        ("own:A", "got 'A'"),
        ("own:a,a", "names a channel twice"),
        ("own:u,a", "must name v right after u"),
        ("own:v,u", "must name v right after u"),
        ("own:u,a,v", "must name v right after u"),
        (f"own:{','.join(map(str, range(17)))}", "has 17 channels, at most 16 fit"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(method, told):
    with pytest.raises(InputError, match=told):
        channels_of(method)


def test_all_methods_at_once_are_few_enough():
    # All sources together would be 16.
    assert len(channels_of(",".join(SOURCES))) <= channels.MOST_CHANNELS
    assert set(METHODS) < set(SOURCES)
    with pytest.raises(InputError, match="takes one grey image a clip, not the channels of 'dis'"):
        channels.check_one_image("dis", "export")
    channels.check_one_image("rank", "export")
