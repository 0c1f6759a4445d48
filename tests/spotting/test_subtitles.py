from xml.etree import ElementTree

from made_up import interval

from originet.spotting.subtitles import eaf, vtt


def test_subtitles_are_in_order_and_escaped():
    later = interval(start=3661.5, label="<b>joy", confidence=0.75)
    blocks = vtt([later, interval(note="blink")]).split("\n\n")
    assert blocks[0] == "WEBVTT"
    assert blocks[1] == "00:00:01.000 --> 00:00:01.200\nface 0: blink, brow left"
    assert blocks[2].strip() == (
        "01:01:01.500 --> 01:01:01.700\nface 0: micro &lt;b&gt;joy 0.75, brow left"
    )


def test_no_movements_make_a_file_all_the_same():
    assert vtt([]) == "WEBVTT\n"
    assert ElementTree.fromstring(eaf("a.mp4", [])).tag == "ANNOTATION_DOCUMENT"


def test_an_elan_file_has_a_tier_for_each_face_and_times_that_exist():
    root = ElementTree.fromstring(
        eaf("a & b\ufffe.mp4", [interval(1), interval(0), interval(1, 2)])
    )
    assert root.find("HEADER/MEDIA_DESCRIPTOR").get("MEDIA_URL") == "a & b.mp4"
    assert [tier.get("TIER_ID") for tier in root.findall("TIER")] == ["face 0", "face 1"]
    slots = {
        each.get("TIME_SLOT_ID"): int(each.get("TIME_VALUE")) for each in root.iter("TIME_SLOT")
    }
    spans = [
        (slots[each.get("TIME_SLOT_REF1")], slots[each.get("TIME_SLOT_REF2")])
        for each in root.iter("ALIGNABLE_ANNOTATION")
    ]
    assert spans == [(1000, 1200), (1000, 1200), (2000, 2200)]
    kinds = {each.get("LINGUISTIC_TYPE_REF") for each in root.findall("TIER")}
    assert kinds == {root.find("LINGUISTIC_TYPE").get("LINGUISTIC_TYPE_ID")}
