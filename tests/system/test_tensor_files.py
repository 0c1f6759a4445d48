"""Safetensors files that are not what they say."""

import numpy as np
import pytest
import safetensors.numpy
from stores import tensor, with_header

from originet.system import tensor_files
from originet.system.errors import InputError
from originet.system.tensor_files import read_arrays

LYING = {
    "empty": b"",
    "short": b"\0\0\0",
    "no header": with_header(b""),
    "long header": with_header({}, length=2**63),
    "longest header": with_header({}, length=2**64 - 1),
    "large header": with_header(b"{}" + b" " * 9 * 2**20),
    "deep header": with_header(b'{"a":' * 100_000),
    "no object": with_header([1]),
    "no text": with_header(b'{"\xff":1}'),
    "beyond the end": with_header({"a": tensor("U8", [100], 0, 100)}, b"x"),
    "overlap": with_header({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 2, 6)}, b"x" * 6),
    "hole": with_header({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 6, 10)}, b"x" * 10),
    "rest": with_header({"a": tensor("U8", [4], 0, 4)}, b"x" * 9),
    "backwards": with_header({"a": tensor("U8", [4], 4, 0)}, b"xxxx"),
    "negative": with_header({"a": tensor("U8", [-4], 0, 4)}, b"xxxx"),
    "overflow": with_header({"a": tensor("U8", [2**32, 2**32], 0, 0)}),
    "large and empty": with_header({"a": tensor("U8", [2**63, 0], 0, 0)}),
    "many dimensions": with_header({"a": tensor("U8", [1] * 100, 0, 1)}, b"x"),
    "half floats": with_header({"a": tensor("BF16", [2], 0, 4)}, b"xxxx"),
    "small floats": with_header({"a": tensor("F8_E4M3", [4], 0, 4)}, b"xxxx"),
    "smallest floats": with_header({"a": tensor("F4", [8], 0, 4)}, b"xxxx"),
    "other floats": with_header({"a\n\x1b": tensor("F32", [1], 0, 4)}, b"xxxx"),
    "unknown kind": with_header({"a": tensor("Q7", [4], 0, 4)}, b"xxxx"),
    "no metadata": with_header({"__metadata__": {"a": 5}}),
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING)
def test_a_lying_tensor_file_is_named(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        read_arrays(path, np.uint8)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_arrays_of_the_dtype_asked_for_are_read(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(0, np.float32)}
    path.write_bytes(safetensors.numpy.save(arrays))
    read = read_arrays(path, np.float32)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)
    with pytest.raises(InputError, match=r"a\.safetensors holds '[ab]' as F32, not as U8"):
        read_arrays(path, np.uint8)


def test_a_file_beyond_the_limit_is_not_opened(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(4096, np.uint8)}))
    monkeypatch.setattr(tensor_files, "HEADER", 100)
    assert read_arrays(path, np.uint8, most=4096)["a"].size == 4096
    with pytest.raises(InputError, match=r"is too large: 4,\d+ bytes, the limit is 1,000"):
        read_arrays(path, np.uint8, most=1000)
