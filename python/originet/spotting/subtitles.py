"""Movements as WebVTT subtitles, and as an ELAN file with a tier for each face.

References: W3C, WebVTT, https://www.w3.org/TR/webvtt1; the schema of ELAN's annotation format,
http://www.mpi.nl/tools/elan/EAFv3.0.xsd.
"""

from collections.abc import Sequence
from xml.etree import ElementTree

from originet.spotting.intervals import Interval
from originet.system.words import printable

# XML has no such characters, not even escaped.
_NO_XML = dict.fromkeys([0xFFFE, 0xFFFF])


def caption(interval: Interval) -> str:
    """Says in a few words what a movement is."""
    what = interval.note or interval.kind
    if interval.label:
        what += f" {printable(interval.label)} {interval.confidence or 0:.2f}"
    return f"face {interval.face}: {what}, {', '.join(map(_words, interval.regions))}"


def _words(region: str) -> str:
    return region.replace("_", " ")


def vtt(intervals: Sequence[Interval]) -> str:
    """Returns subtitles, one for each movement."""
    cues = ["WEBVTT\n"]
    for interval in sorted(intervals, key=lambda each: each.onset_seconds):
        # A cue must not be empty, and its text must not look like a tag or an arrow.
        text = caption(interval).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        start, end = interval.onset_seconds, interval.offset_seconds
        cues.append(f"{_clock(start)} --> {_clock(max(end, start + 0.001))}\n{text}\n")
    return "\n".join(cues)


def _clock(seconds: float) -> str:
    whole = round(1000 * seconds)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def eaf(video: str, intervals: Sequence[Interval]) -> bytes:
    """Returns an ELAN file.

    Args:
        video: The video's path, relative to the file or absolute.
        intervals: The movements.
    """
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "originet spot",
            "DATE": "1970-01-01T00:00:00Z",  # the same movements give the same file
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    head = ElementTree.SubElement(
        document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    )
    ElementTree.SubElement(
        head, "MEDIA_DESCRIPTOR", {"MEDIA_URL": _text(video), "MIME_TYPE": "video/*"}
    )
    order = ElementTree.SubElement(document, "TIME_ORDER")
    ordered = sorted(intervals, key=lambda each: (each.face, each.onset_seconds))
    for number, interval in enumerate(ordered):
        for end, seconds in (("a", interval.onset_seconds), ("b", interval.offset_seconds)):
            slot = {"TIME_SLOT_ID": f"ts{number}{end}", "TIME_VALUE": str(round(1000 * seconds))}
            ElementTree.SubElement(order, "TIME_SLOT", slot)
    for face in sorted({interval.face for interval in intervals}):
        tier = ElementTree.SubElement(
            document, "TIER", {"LINGUISTIC_TYPE_REF": "movement", "TIER_ID": f"face {face}"}
        )
        for number, interval in enumerate(ordered):
            if interval.face != face:
                continue
            slots = {"TIME_SLOT_REF1": f"ts{number}a", "TIME_SLOT_REF2": f"ts{number}b"}
            holder = ElementTree.SubElement(tier, "ANNOTATION")
            annotation = ElementTree.SubElement(
                holder, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{number}", **slots}
            )
            ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = _text(caption(interval))
    ElementTree.SubElement(
        document,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "movement", "TIME_ALIGNABLE": "true"},
    )
    return bytes(ElementTree.tostring(document, encoding="UTF-8", xml_declaration=True))


def _text(text: str) -> str:
    return printable(text).translate(_NO_XML)
