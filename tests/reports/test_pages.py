"""Each page of a report in Chromium: on a phone, on a desk and on paper, in light and in dark."""

from dataclasses import replace

import pages
import pytest
from searches import asha, population
from test_report import LEARNT, READ, heard, report, watched  # noqa: F401, fixtures

from ganops.reports import search_page
from ganops.reports.report import write


@pytest.fixture(scope="module")
def browser():
    """A browser, for all pages."""
    with pages.browsing() as browser:
        yield browser


def image(path, request):
    write(request.getfixturevalue("report"), path)


def text(path, request):
    write(replace(request.getfixturevalue("report"), **READ, **LEARNT), path)


def sound(path, request):
    write(request.getfixturevalue("heard"), path)


def film(path, request):
    write(request.getfixturevalue("watched")[0], path)


def search(path, request):
    search_page.write(asha(40, noise=6), path)


def members(path, request):
    search_page.write(population(), path)


PAGES = (image, text, sound, film, search, members)


@pytest.fixture(params=PAGES, ids=lambda page: page.__name__)
def page(request, browser, tmp_path):
    """A tab on the page."""
    request.param(tmp_path / "report.html", request)
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto((tmp_path / "report.html").as_uri())
    yield tab
    tab.close()


def test_it_can_be_read_on_a_phone_on_a_desk_and_on_paper(page):
    assert pages.on_screens(page) == {}
    assert pages.on_paper(page) == []
    assert page.pdf(prefer_css_page_size=True, print_background=True).startswith(b"%PDF")


def test_what_lies_on_something_is_cut_off_or_cannot_be_read_is_found(browser):
    """The checks themselves: each fault of this page has its finding."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    picture = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"
    tab.set_content(
        "<html><style>button:focus { outline: none }</style><h1>One</h1><h3>three</h3><p>Words below a picture</p>"
        f'<img src="{picture}" style="position: absolute; top: 0; width: 300px; height: 200px">'
        '<p style="color: #999">faint</p><button></button><p style="width: 2000px">wide</p>' + "<p>more</p>" * 9
    )
    unreadable = " ".join(pages.unreadable(tab, presses=2))
    for words in ("no language", "no title", "not one main", "h3 after h1", "no alt", "no label", "no focus"):
        assert words in unreadable, words
    assert any("below a picture" in pair for pair in tab.evaluate(pages.OVERLAPS))
    assert any("wide" in text for text in tab.evaluate(pages.CUT))
    assert "faint" in pages.faint(tab)[1]
    tab.close()
