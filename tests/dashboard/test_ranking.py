"""The uncertainty of the ranking, on the Leaderboard page."""

from tests.support.pages import texts


def test_the_leaderboard_shows_places_and_who_beats_whom(open_page, toy):
    app = open_page("leaderboard", toy.artifacts)
    assert not app.exception
    shown = texts(app)
    assert "of 1,000 draws, in which the images are resampled" in shown
    assert "EfficientNet-Lite0, 2 seeds" in shown
    assert "The accuracy of a recipe with several seeds is the mean over its runs." in shown
    # the toy has three runs of one recipe, and no votes
    needs = "Not resampled here: resampling annotators needs a benchmark with votes."
    assert needs in shown
