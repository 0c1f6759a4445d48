"""HTML pages as a browser would see them."""

from html.parser import HTMLParser


class Parsed(HTMLParser):
    """What a browser would see: tags with attributes, table cells, all text.

    What is inside a chart stands apart, in `drawn`: its outlines depend on the words in it.
    """

    def __init__(self, html):
        super().__init__()
        self.tags, self.drawn, self.rows, self.words = [], [], [], []
        self._inside = False
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        (self.drawn if self._inside else self.tags).append((tag, dict(attrs)))
        self._inside = self._inside or tag == "svg"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "svg"

    def handle_data(self, data):
        tag = self.tags[-1][0] if self.tags else ""
        if tag == "style":
            return
        self.words.append(data)
        if tag in ("td", "th") and data.strip():
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]
