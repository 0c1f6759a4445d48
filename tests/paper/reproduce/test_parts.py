"""The parts of `originet reproduce`: counts, the choice of clips, responses of networks."""

from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
import torch
from folds import sorted_clips
from pages import Parsed
from torch import nn

from originet.datasets import make_table
from originet.datasets.tasks import TABLE_II
from originet.paper import baselines
from originet.paper.reproduce import counts, figures, responses, shown_clips, table_sections
from originet.paper.reproduce.book import Book
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import OrigiNet

CONFIG = Config(epochs=1, image_size=16, rotations=(0,), equalize=False, select="last")


def clip_row(subject, clip, label, *, dataset="folder", emotion=None, frames=("nowhere.png",)):
    return {
        **{"dataset": dataset, "subject": subject, "clip": clip, "label": label},
        **{"emotion": emotion or label, "onset": None, "apex": None, "offset": None},
        **{"action_units": "", "fps": float("nan"), "frames": frames, "notes": ""},
    }


def sort(table, images=None):
    size = CONFIG.image_size
    images = np.zeros((len(table), size, size), np.uint8) if images is None else images
    return sorted_clips(table, images)


@pytest.fixture
def table():
    """s1 lacks class c; s2 and s3 have all, s2 three clips of a."""
    rows = [("s3", "a1", "a"), ("s3", "b1", "b"), ("s3", "c1", "c"), ("s1", "x", "a")]
    rows += [("s2", "a3", "a"), ("s2", "c1", "c"), ("s2", "a1", "a"), ("s2", "b1", "b")]
    rows += [("s2", "a2", "a"), ("s1", "y", "b")]
    return make_table([clip_row(*row) for row in rows])


def test_pictures_are_of_the_first_subject_with_most_classes_in_the_order_of_names(table):
    clips = sort(table)
    shown = shown_clips.choose_clips(clips)
    assert shown.subject == "s2"
    names = [clips.names[place] for place in shown.places]
    assert list(zip(shown.labels, names, strict=True)) == [
        *(("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"))
    ]
    assert [clips.names[place] for place in shown.first_of_each()] == ["a1", "b1", "c1"]
    assert clips.subjects[shown.training].tolist() == ["s1"] * 2 + ["s3"] * 3
    again = shown_clips.choose_clips(sort(table.sample(frac=1, random_state=0)))
    assert again._replace(training=None) == shown._replace(training=None)
    assert (again.training == shown.training).all()


def test_clips_without_frames_keep_their_active_image(table):
    images = np.random.default_rng(0).integers(0, 256, (len(table), 16, 16), dtype=np.uint8)
    clips, failed = sort(table, images), {}
    shown = shown_clips.choose_clips(clips)
    rows = shown_clips.phase_rows(clips, shown, CONFIG, failed)
    assert [row.label for row in rows] == ["a", "b", "c"]
    for row, place in zip(rows, shown.first_of_each(), strict=True):
        assert row.pictures[:3] == [None] * 3
        (given,) = images[(table["subject"] == shown.subject) & (table["clip"] == row.clip)]
        assert (row.pictures[3].pixels == given).all() and row.clip == clips.names[place]
    assert failed == {"Fig. 2, frames": "no such file: nowhere.png"}


@pytest.mark.slow
@pytest.mark.parametrize(("count", "parts"), [(1, [1]), (6, [6]), (7, [4, 3]), (16, [6, 5, 5])])
def test_many_rows_of_pictures_are_shared_out_among_figures(tmp_path, monkeypatch, count, parts):
    drawn = []

    def draw(rows, columns):
        drawn.append(list(rows))
        return picture_sheet(rows, columns)

    picture_sheet = figures.picture_sheet
    monkeypatch.setattr(figures, "picture_sheet", draw)
    book = Book("t", tmp_path)
    picture = figures.Picture(np.zeros((4, 4), np.uint8))
    rows = {f"row {number}": [picture] for number in range(count)}
    book.pictures("sheet", rows, ["column"], "Told.", "shown")
    assert [len(part) for part in drawn] == parts
    assert [name for part in drawn for name in part] == list(rows)
    names = ["sheet.png", *(f"sheet_{number}.png" for number in range(2, len(parts) + 1))]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == names
    page = Parsed(book.report.html())
    assert len(page.all("svg")) == len(parts)
    assert (f"Told. Part {len(parts)} of {len(parts)}." in page.text) == (len(parts) > 1)


def test_whole_numbers_stay_whole_beside_gaps(tmp_path):
    rows = [
        {"row": "VGG", "parameters": 2**53 + 1, "uar": 0.5},
        {"row": "=LBP", "parameters": None},
    ]
    Book("t", tmp_path).csv("sizes", rows)
    text = (tmp_path / "tables" / "sizes.csv").read_text()
    assert text == f"row,parameters,uar\nVGG,{2**53 + 1},0.5\n'=LBP,,\n"


def test_names_of_a_sheet_keep_their_lines_and_show_what_would_act():
    picture = figures.Picture(np.zeros((4, 4), np.uint8))
    (axes,) = figures.picture_sheet({"class\nclip\x1b": [picture]}, ["\nnet"]).axes
    assert (axes.get_title(), axes.get_ylabel()) == ("\nnet", "class\nclip\\x1b")


def test_counts_of_a_set_as_the_paper_has_it_and_of_one_that_lacks_clips():
    rows = [
        clip_row(f"s{i % 3}", f"{emotion}{i}", "x", dataset="casme2", emotion=emotion)
        for emotion, count in TABLE_II["casme2"].items()
        for i in range(count)
    ]
    rows += [clip_row("1", f"a{i}", "anger", dataset="cas_me2") for i in range(5)]
    rows.append(clip_row("1", "odd", "x", dataset="samm", emotion="boredom"))
    found = counts.emotion_counts(make_table(rows))
    by_place = {(r["dataset"], r["emotion"]): (r["paper"], r["clips"]) for r in found}
    for emotion, count in TABLE_II["casme2"].items():
        assert by_place["casme2", emotion] == (count, count)
    assert by_place["casme2", "total"] == (250, 250)
    assert by_place["cas_me2", "anger"] == (102, 5) and by_place["cas_me2", "total"] == (341, 5)
    assert by_place["samm", "boredom"] == (0, 1) and by_place["samm", "fear"] == (8, 0)
    assert by_place["casme", "tense"] == (67, None) and by_place["casme", "total"] == (189, None)
    summary = {r["dataset"]: r for r in counts.set_summary(make_table(rows))}
    assert (summary["casme2"]["clips"], summary["casme2"]["subjects"]) == (250, 3)
    assert (summary["casme"]["clips"], summary["casme"]["paper_subjects"]) == (0, 19)


def test_other_classes_of_cas_me2_are_not_held_against_table_ii():
    rows = [clip_row("1", f"a{i}", "negative", dataset="cas_me2", emotion="disgust") for i in "ab"]
    found = counts.emotion_counts(make_table(rows))
    assert all(r["clips"] is None for r in found if r["dataset"] == "cas_me2")


@pytest.mark.slow
def test_sizes_of_table_v():
    records = {record["network"]: record for record in baselines.table_v()}
    assert len(records) == 8
    assert records["OrigiNet"]["parameters"] == 1_872_548
    assert records["OrigiNet"]["mib_at_8_bytes"] == pytest.approx(14.286, abs=1e-3)
    assert records["OrigiNet"]["layers_agree"] is None
    # As torchvision tells them for ImageNet.
    assert records["VGG-19"]["parameters"] == 143_667_240
    assert records["ResNet-50"]["parameters"] == 25_557_032
    assert all(record["parameters_agree"] for record in records.values())


class Known(nn.Sequential):
    """Two filters of one tap each, so that all responses are known; a quarter is after the pool."""

    def __init__(self):
        first, second = nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(2, 2, 1, bias=False)
        nn.init.constant_(second.weight, 1)
        with torch.no_grad():
            first.weight.copy_(torch.tensor([[1.0, 0, 0], [-1, 0, 0]])[..., None, None])
        shrink = nn.AvgPool2d(4)
        late = nn.Conv2d(2, 1, 2, stride=2)
        super().__init__(first, nn.ReLU(inplace=True), shrink, second, late)


def test_mean_responses_of_a_network_that_is_known():
    x = torch.randn(2, 3, 16, 16)
    maps = responses.mean_responses(Known(), x)
    assert list(maps) == ["first layer", responses.QUARTER]
    # relu(x) and relu(-x), pooled, are what the second convolution reads: their mean is |x| / 2.
    pooled = (x[:, 0].abs() / 2).unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4)).numpy()
    np.testing.assert_allclose(maps["first layer"], pooled, rtol=1e-5)
    np.testing.assert_allclose(maps[responses.QUARTER], 2 * pooled, rtol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_mean_responses_of_originet(variant):
    model = OrigiNet(4, image_size=32, variant=variant).eval()
    x = torch.randn(2, 3, 32, 32)
    maps = responses.mean_responses(model, x)
    assert list(maps) == ["3×3", "5×5", "both", responses.QUARTER]
    with torch.no_grad():
        block = model.stage1
        small = block.act(block.conv_small(x))
        large = block.act(block.conv_large(x))
        np.testing.assert_allclose(maps["3×3"], small.mean(1), rtol=1e-4, atol=1e-6)
        joined = block.norm(small + large)
        np.testing.assert_allclose(maps["both"], joined.mean(1), rtol=1e-4, atol=1e-5)
        late = model.stage2(joined).mean(1)
    assert late.shape == (2, 8, 8)
    np.testing.assert_allclose(maps[responses.QUARTER], late, rtol=1e-3, atol=1e-4)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_networks_without_such_places_are_refused():
    x = torch.randn(1, 3, 16, 16)
    with pytest.raises(InputError, match="Sequential has fewer than two convolutions"):
        responses.mean_responses(nn.Sequential(nn.Conv2d(3, 2, 1)), x)
    flat = nn.Sequential(nn.Conv2d(3, 2, 8, stride=8), nn.Conv2d(2, 2, 1))
    with pytest.raises(InputError, match="no response of at least a quarter"):
        responses.mean_responses(flat, x)


def test_edge_correlation_tells_edges_from_noise():
    image = np.zeros((32, 32), np.uint8)
    image[:, 16:] = 200
    map_of_edges = np.zeros((16, 16), np.float32)
    map_of_edges[:, 7:9] = -3  # of whatever sign
    assert responses.edge_correlation(image, map_of_edges) > 0.95
    noise = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    assert abs(responses.edge_correlation(image, noise)) < 0.2
    assert responses.edge_correlation(image, np.ones((16, 16), np.float32)) == 0


def test_responses_are_trained_once_without_the_subject_shown(table, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    clips = sort(table, rng.integers(0, 256, (len(table), 16, 16), dtype=np.uint8))
    images, labels = clips.images[CONFIG.method], clips.labels
    shown = shown_clips.choose_clips(clips)
    seen = []

    def respond(images, folder):
        return responses.network_responses(
            *("OrigiNet", lambda n: OrigiNet(n, image_size=16), images, labels, shown, CONFIG),
            folder=folder,
            device=torch.device("cpu"),
        )

    original = responses.fit

    def fit(model, images, *arguments, **options):
        seen.append(images)
        return original(model, images, *arguments, **options)

    monkeypatch.setattr(responses, "fit", fit)
    made = respond(images, tmp_path)
    assert len(seen) == 1 and (seen[0] == images[shown.training]).all()
    assert made.probabilities.shape == (4, 3)
    # Another subject to show changes what is answered, but not what was learned.
    poisoned = images.copy()
    poisoned[shown.places] = 255 - poisoned[shown.places]
    respond(poisoned, tmp_path / "poisoned")
    assert (seen[1] == seen[0]).all()
    # The second call reads, and has the same.
    again = respond(images, tmp_path)
    assert len(seen) == 2 and again.record == made.record and again.first == made.first
    for there, here in ((again.maps, made.maps), (again.untrained, made.untrained)):
        assert list(there) == list(here)
        assert all((there[place] == here[place]).all() for place in here)
    assert any((made.maps[place] != made.untrained[place]).any() for place in made.maps)
    assert (again.probabilities == made.probabilities).all()


@pytest.mark.parametrize("damage", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"junk" * 9])
def test_damaged_responses_are_named(table, tmp_path, damage):
    path = tmp_path / "VGG-19.safetensors"
    path.write_bytes(damage)
    with pytest.raises(InputError, match=r"VGG-19\.safetensors is damaged.*: .*delete the file"):
        responses.network_responses(
            *("VGG-19", None, None, None, None, CONFIG),
            folder=tmp_path,
            device=torch.device("cpu"),
        )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"places": "[]"}, "length >= 2"),
        ({"places": "[" * 100_000}, "Expected `str`, got `array`"),
        ({"places": '["3×3", "a quarter", "else"]'}, "trained else"),
        ({"places": '["3×3", "both"]'}, "trained both"),
        ({"record": '{"network": 1}'}, "Expected `str`, got `int`"),
        ({"record": None}, "missing required field `record`"),
        ({"probabilities": np.zeros((2, 3), np.float16)}, "holds 'probabilities' as F16, not as"),
        (
            {"probabilities": np.zeros((2, 4), np.float32)},
            r"probabilities have shape \[2, 4\], not \[2, 3",
        ),
        (
            {"trained 3×3": np.zeros((9, 4, 4), np.float32)},
            "its maps are not finite, or not of 2 clips",
        ),
        (
            {"trained 3×3": np.zeros((2, 0, 4), np.float32)},
            "its maps are not finite, or not of 2 clips",
        ),
        ({"untrained a quarter": np.full((2, 4, 4), np.nan, np.float32)}, "not of 2 clips"),
    ],
)
def test_responses_of_another_shape_are_named(tmp_path, change, told):
    maps = {place: np.zeros((2, 4, 4), np.float32) for place in ("3×3", responses.QUARTER)}
    record = dict(network="x", parameters=1, seed=0, selected_epoch=1, seconds=0.5)
    sound = responses.Responses(maps, maps, np.zeros((2, 3), np.float32), record)
    path = tmp_path / "x.safetensors"

    def read():
        shown = SimpleNamespace(places=[0, 1])
        return responses.network_responses(
            *("x", None, None, np.array([0, 2, 1]), shown, CONFIG),
            folder=tmp_path,
            device=torch.device("cpu"),
        )

    path.write_bytes(responses._format(sound))
    assert read().record == record
    with safetensors.safe_open(path, "numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    metadata |= {name: text for name, text in change.items() if isinstance(text, str)}
    metadata = {name: text for name, text in metadata.items() if change.get(name, "") is not None}
    tensors |= {name: value for name, value in change.items() if isinstance(value, np.ndarray)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata=metadata))
    with pytest.raises(
        InputError, match=rf"x\.safetensors .*{told}.*; delete the file to compute it again"
    ):
        read()


def test_each_set_at_hand_is_said_to_agree_differ_or_not_compare(tmp_path):
    rows = [
        clip_row(f"s{i % 3}", f"{emotion}{i}", "x", dataset="casme", emotion=emotion)
        for emotion, count in TABLE_II["casme"].items()
        for i in range(count)
    ]
    rows += [clip_row("1", f"a{i}", "negative", dataset="cas_me2") for i in "ab"]
    rows += [clip_row("1", f"f{i}", "fear", dataset="samm") for i in range(8)]
    book = Book("t", tmp_path)
    table_sections.count_section(book, SimpleNamespace(table=make_table(rows)))
    page = book.report.html()
    for said in (
        "CASME (CASME-I) has as many clips of each emotion as the paper",
        "CAS(ME)² has other classes here than Table II",
        "SAMM has 8 clips, the paper 159",
    ):
        assert said in page
    assert "CASME II has" not in page
