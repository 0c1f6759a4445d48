"""Counts, texts in one line, and that no message shows how Python writes a tuple."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from originet import Config
from originet.datasets import synth
from originet.datasets.prepare import Settings
from originet.evaluation import metrics
from originet.system.errors import InputError
from originet.system.json_files import differences
from originet.system.words import counted, percent, percents, printable
from originet.training.augment import augmented_views
from originet.training.model import OrigiNet
from originet.training.predict import check_images


@pytest.mark.parametrize(
    ("number", "thing", "text"),
    [
        (0, "clip", "0 clips"),
        (1, "frame", "1 frame"),
        (2, "frame", "2 frames"),
        (1, "class", "1 class"),
        (3, "class", "3 classes"),
    ],
)
def test_counts_agree_in_number(number, thing, text):
    assert counted(number, thing) == text


WRONG = [
    *({name: "x"} for name in ("method", "protocol", "variant", "select", "precision")),
    *({name: "x"} for name in ("class_weights", "sampling")),
    *(
        {name: value}
        for name in ("rotations", "seeds")
        for value in ((), (1, 1), (-1, -1), (-999,))
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_settings_are_refused_in_words(wrong):
    with pytest.raises(InputError) as refused:
        Config(**wrong)
    assert not set("()[]") & set(str(refused.value)), refused.value


def test_what_differs_between_runs_is_told_in_words():
    there = {"config": {"seeds": [0, 1], "rotations": []}, "model": None, "method": "rank"}
    here = {"config": {"seeds": [2], "rotations": [0]}, "model": "x", "method": "rank"}
    assert list(differences(there, here)) == [
        "config.rotations is empty there, 0 here",
        "config.seeds is 0 and 1 there, 2 here",
        "model is absent there, 'x' here",
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda: synth.generate("never", residual=(0.5, 0.2)),
        lambda: Settings(methods=()),
        lambda: Settings(methods=("rank", "rank")),
        lambda: check_images(np.zeros((2, 3), np.uint8)),
        lambda: augmented_views(np.zeros((2, 3), np.uint8), (0,), True),
        lambda: augmented_views(np.zeros((2, 3, 3), np.uint8), (), True),
        lambda: metrics.accuracy(np.zeros((2, 3), int), np.zeros(2, int)),
        lambda: OrigiNet(4, kernel_sizes=(2, 4)),
    ],
)
def test_messages_show_no_tuple(call):
    with pytest.raises(InputError) as refused:
        call()
    assert "(" not in str(refused.value), refused.value


def test_shares_are_written_in_per_cent():
    assert percent(0.8104) == "81.0 %" and percent(0.81, 0.025) == "81.0 ± 2.5 %"
    assert percent(0, 0.0) == "0.0 ± 0.0 %" and percents((0.755, 1)) == "75.5 to 100.0 %"


def test_no_character_of_a_name_acts_on_a_terminal():
    hostile = "a\x1b[31m\r\nb\x9b0m\u202ec\u2028\x00\x7f\udc80 \t"
    assert printable(hostile) == (r"a\x1b[31m\r\nb\x9b0m\u202ec\u2028\x00\x7f\udc80 \t")
    assert printable("Überraschung 惊讶 [bold]") == "Überraschung 惊讶 [bold]"


@given(st.text(st.characters(codec="utf-8")))
def test_printable_texts_can_be_written_in_one_line(text):
    there = printable(text)
    assert len(there.splitlines()) <= 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in there)
