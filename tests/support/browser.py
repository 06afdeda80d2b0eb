"""Chromium's flags, and waiting for a page in it."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

STILL_FOR = 150
"""Milliseconds; between a click and the script that it starts, nothing seems to run either."""


def settled(page) -> None:
    """Waits until the page has its title, and for a while no script runs and all is drawn."""
    page.wait_for_selector("h1")
    page.evaluate("() => { window.stillSince = null; }")
    page.wait_for_function(
        """least => {
            const app = document.querySelector('[data-testid=stApp]');
            const still = app?.getAttribute('data-test-script-state') === 'notRunning'
                && !document.querySelector('[data-testid=stSkeleton]');
            window.stillSince = still ? window.stillSince ?? performance.now() : null;
            return still && performance.now() - window.stillSince >= least;
        }""",
        arg=STILL_FOR,
    )
