"""Takes build/report.png from the newest report, in headless Chromium.

Usage: python docs/tools/screenshot.py [REPORT.html]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "build" / "report.png"


def main() -> None:
    """Opens the report at desktop width and saves the first screen."""
    reports = sorted((ROOT / "data" / "08_reporting").glob("report.html/*/report.html"))
    report = Path(sys.argv[1]) if len(sys.argv) > 1 else (reports[-1] if reports else None)
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if report is None or browser is None:
        sys.exit("needs a finished run (`make run`) and chromium")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                "--window-size=1100,1350",
                f"--screenshot={PICTURE}",
                report.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()
