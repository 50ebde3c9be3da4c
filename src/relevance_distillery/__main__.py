"""`python -m relevance_distillery` runs the project as `kedro run` does."""

import sys
from pathlib import Path

from kedro.framework.startup import bootstrap_project


def main() -> None:
    """Runs the project in the current folder with the arguments of `kedro run`."""
    bootstrap_project(Path.cwd())
    from relevance_distillery.cli import run

    run(sys.argv[1:], prog_name="relevance_distillery")


if __name__ == "__main__":
    main()
