"""The table of a composite's data sets."""

from types import SimpleNamespace

from originet.cli.by_dataset import print_datasets, print_published


def composite(**changed):
    """A result on two data sets, of which the second has one class."""
    scores = {"pooled_accuracy": 0.75, "uf1": 0.5, "uar": 0.25}
    scores |= {f"{name}_std": 0.125 for name in scores}
    sets = {
        "casme2": {"clips": 4, "subjects": 2, "classes": ["negative", "others"]},
        "samm": {"clips": 2, "subjects": 1, "classes": ["others"]},
    }
    parts = {
        name: {**part, "metrics": scores, "majority_accuracy": 0.5} for name, part in sets.items()
    }
    return SimpleNamespace(**{"metrics": scores, "by_dataset": parts} | changed)


def printed(capsys, results, several=False):
    print_datasets(results, ("negative", "others"), 0.625, several=several)
    return capsys.readouterr().out


def test_every_data_set_has_a_line_below_the_whole(capsys):
    lines = printed(capsys, {"OrigiNet": composite()}).splitlines()
    rows = [line.split() for line in lines if line.split()[1:2] in (["6"], ["4"], ["2"])]
    scores = ["0.750", "0.500", "0.250"]
    assert rows == [
        ["full", "6", "3", *scores, "0.625"],
        ["casme2", "4", "2", *scores, "0.500"],
        ["samm", "2", "1", *scores, "0.500"],
    ]
    assert "samm lacks negative" in lines[-1]


def test_several_rows_are_named_and_several_seeds_have_deviations(capsys):
    out = printed(capsys, {"[a]": composite(), "b": composite()}, several=True)
    assert out.count("[a]") == out.count(" b ") == 3
    assert out.count("0.750 ± 0.125") == 6


def test_one_data_set_has_no_table(capsys):
    assert printed(capsys, {"OrigiNet": composite(by_dataset={})}) == ""


def test_published_scores_stand_below_the_challenges_composite(capsys):
    part = composite().by_dataset["casme2"]
    sets = {name: part for name in ("smic", "casme2", "samm")}
    classes = ("negative", "positive", "surprise")
    print_published("OrigiNet", composite(by_dataset=sets, classes=classes))
    lines = capsys.readouterr().out.splitlines()
    (own,) = [line.split() for line in lines if "(this run)" in line]
    assert own == ["OrigiNet", "(this", "run)", *["0.500", "/", "0.250"] * 4]
    assert any(line.split()[:4] == ["STSTNet", "0.735", "/", "0.761"] for line in lines)
    assert max(map(len, lines[:-1])) <= 80 and "quoted from publications" in lines[-1]
    print_published("OrigiNet", composite(classes=classes))
    assert capsys.readouterr().out == ""
