"""Builds the lineage as a static site in build/ and takes a screenshot of it.

Usage: python docs/tools/build_viz.py [PROJECT]

Needs a finished run (`make run`), and Chromium with its driver for the screenshot; without
them the site is built all the same. The documentation's picture is a copy made by hand.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
SITE = PROJECT / "build"
PICTURE = SITE / "lineage.png"


def build_site() -> None:
    """Runs `kedro viz build`, which writes to build/."""
    kedro = Path(sys.executable).with_name("kedro")
    shutil.rmtree(SITE, ignore_errors=True)
    subprocess.run([str(kedro), "viz", "build", "--include-previews"], cwd=PROJECT, check=True)
    # It ends with status 0 even when it failed.
    if not (SITE / "index.html").is_file():
        sys.exit("kedro viz build did not finish; its error stands above")


def take_picture() -> None:
    """Opens the site in headless Chromium and saves build/lineage.png."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    driver_path, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if not (driver_path and browser):
        print("no chromium and chromedriver here: the site is built, the picture is not")
        return
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1800,1200"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        driver.get(address)
        time.sleep(12)
        # A tour of Kedro-Viz covers the picture on a first visit.
        driver.execute_script(
            "document.querySelectorAll('[class*=feature-hint]').forEach(e => e.remove())"
        )
        driver.save_screenshot(str(PICTURE))
        print(f"picture: {PICTURE}")
    finally:
        driver.quit()
        server.shutdown()


if __name__ == "__main__":
    build_site()
    print(f"open it with: {sys.executable} -m http.server --directory {SITE}")
    take_picture()
