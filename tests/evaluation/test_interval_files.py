import pytest

from originet.evaluation.interval_files import read_predicted, read_truth
from originet.evaluation.spotting import Interval
from originet.system.errors import InputError


@pytest.fixture
def files(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_truth_with_all_columns(files):
    truth = read_truth(
        files("t.csv", "subject,video,onset,offset,Emotion,type\ns1,v1,3,9,Happy,MaE\ns1,v2,,,,\n")
    )
    assert truth.intervals == [Interval("s1", "v1", 3, 9, "happiness", "macro")]
    assert truth.videos == {("s1", "v1"), ("s1", "v2")}


def test_predictions_take_the_subject_and_the_name_of_the_truth(files):
    truth = read_truth(files("t.csv", "subject,video,onset,offset\ns1,v1,3,9\ns2,w.avi,1,2\n"))
    predicted = read_predicted(
        [files("p.csv", "video,onset,offset,score\nclips/v1.mp4,3,9,0.5\nw.avi,4,4,\nx,1,2,1\n")],
        truth,
    )
    assert predicted.intervals == [
        Interval("s1", "v1", 3, 9, score=0.5),
        Interval("s2", "w.avi", 4, 4),
        Interval("", "x", 1, 2, score=1.0),
    ]
    assert predicted.unknown == {"x"}


def test_the_submission_format_of_megc(files):
    truth = read_truth(files("t.csv", "video,onset,offset\n1_1,3,9\n"))
    text = "vid,pred_onset,pred_offset,type\n1_1,3,9,me\n1_1,30,90,mae\n"
    found = read_predicted([files("p.csv", text)], truth).intervals
    assert [each.kind for each in found] == ["micro", "macro"]


def test_a_folder_of_spot_and_what_is_no_expression(files, tmp_path):
    truth = read_truth(files("t.csv", "video,onset,offset\nv,3,9\n"))
    head = "video,face,onset,offset,kind,score,note\n"
    rows = "v,0,3,9,micro,1,\nv,0,20,22,micro,1,blink\nv,0,20,22,gaze,1,\n"
    files("spotted/intervals.csv", head + rows)
    files("spotted/v/intervals.csv", head + rows)  # the same, of one video
    found = read_predicted([tmp_path / "spotted"], truth)
    assert found.intervals == [Interval("", "v", 3, 9, kind="micro", score=1.0)]
    assert found.others == {"blink": 1, "gaze": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,onset\nv,1\n", "has no column offset"),
        ("video,onset,offset\n,1,2\n", "line 2: video is empty"),
        ("video,onset,offset\nv,1.5,2\n", "line 2: onset must be a frame number, got '1.5'"),
        ("video,onset,offset\nv,,2\n", "line 2: onset must be a frame number, got ''"),
        ("video,onset,offset\nv,7,2\n", "line 2: offset 2 is before onset 7"),
        ("video,onset,offset,score\nv,1,2,nan\n", "score must be a finite number, got 'nan'"),
        ("video,onset,offset,kind\nv,1,2,blink\n", "kind must be micro or macro, got 'blink'"),
        ("video,onset,offset\nv,1,2,3\n", "expected 3 fields"),
    ],
)
def test_bad_truth(files, text, message):
    with pytest.raises(InputError, match=message):
        read_truth(files("t.csv", text))


def test_a_video_of_several_subjects(files):
    truth = read_truth(files("t.csv", "subject,video,onset,offset\na,v,3,9\nb,v,1,2\n"))
    with pytest.raises(InputError, match="'v' may be a video of a, b: add a column subject"):
        read_predicted([files("p.csv", "video,onset,offset\nv,1,2\n")], truth)
    named = files("q.csv", "subject,video,onset,offset\nb,v,1,2\n")
    assert read_predicted([named], truth).intervals == [Interval("b", "v", 1, 2)]


def test_a_folder_without_intervals(tmp_path, files):
    truth = read_truth(files("t.csv", "video,onset,offset\nv,3,9\n"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty/intervals\.csv"):
        read_predicted([tmp_path / "empty"], truth)
    files("empty/intervals.csv", "video,onset,offset\n")
    assert read_predicted([tmp_path / "empty"], truth).intervals == []
