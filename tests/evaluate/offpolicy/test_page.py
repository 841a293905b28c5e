"""docs/offpolicy.md says what the results say."""

from benchmarks.ope.page import PAGE, made


def test_the_page_holds_the_figures_of_the_results():
    page = PAGE.read_text()
    assert made(page) == page
