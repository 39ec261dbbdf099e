import pytest
from browser import chromium


@pytest.fixture(scope="session")
def browser():
    path = chromium()
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright is installed")
    with sync_api.sync_playwright() as playwright:
        # as root, as in a container, Chromium has no sandbox
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()
