from __future__ import annotations

from html.parser import HTMLParser

from celeriac_cli.drift_page import page

FIGURES = ("psi", "threshold", "jensen_shannon", "wasserstein", "missing", "reference_missing", "unseen", "out_of_range")
COLUMN = {"name": "<b>age</b>", "rows": 900, **dict.fromkeys(FIGURES, 0.25), "unseen": None, "drifted": True}
WINDOW = {"window": "24h", "rows": 900, "drifted": ["<b>age</b>"], "inputs": [COLUMN], "outputs": []}
REPORT = {"model": "churn", "version": "3", "reference_rows": 500, "windows": [WINDOW]}


class Text(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href"}, "the page loads something"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_column_and_loads_nothing() -> None:
    read = Text()
    read.feed(page(REPORT))
    assert "Drift of churn@3" in read.text
    assert "Drifted: <b>age</b>." in read.text
    assert ("b" in read.tags, "script" in read.tags, read.tags.count("tbody")) == (False, False, 2)
