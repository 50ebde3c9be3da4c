"""Asks for what was not committed yet, until it is killed: `slow_asking.py URL COMMITTED`."""

from __future__ import annotations

import os
import sys

from llm.asking import request, settings
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.scheduler import ChatRunner
from relevance_distillery.llm.settings import Endpoint


def main() -> None:
    with open(sys.argv[2]) as file:
        done = set(file.read().split())
    asked = ChatRunner(Endpoint.at(sys.argv[1], "k"), settings(), None, Budget())
    left = (request(n) for n in range(2000) if str(n) not in done)
    with open(sys.argv[2], "a") as file:
        for results in asked.run(left):
            file.writelines(result.key.removeprefix("key-") + "\n" for result in results)
            file.flush()
            os.fsync(file.fileno())


if __name__ == "__main__":
    main()
