"""Ledgers of older releases, damaged ones, and two runs on one ledger."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from known_judges import counts

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger import schema as ledger_schema
from relevance_distillery.judges.ledger.ledger import Ledger

JUDGE = SimpleNamespace(name="j", model="m", prompt_hash="h", scale=DEFAULT_SCALE)
SOURCE = Path(__file__).parents[2] / "src"


def test_a_ledger_whose_making_is_cut_off_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setitem(ledger_schema._SCHEMA, "batch_requests", "not, a (table")
    with pytest.raises(UserError):
        Ledger(path).lookup(["a"])

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    monkeypatch.undo()
    assert Ledger(path).lookup(["a"]) == {}


@pytest.mark.parametrize("version", [1, 3])
def test_a_ledger_of_another_format_is_left_alone(tmp_path, version):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).record(JUDGE, [Verdict("a", grade=1)])
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")

    with pytest.raises(UserError, match=f"has format {version} and this release knows 2"):
        Ledger(path).lookup(["a"])


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE addresses (name TEXT)")

    with pytest.raises(UserError, match="database of another program"):
        Ledger(path).lookup(["a"])
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("addresses",)]


def filled(path: Path, answers: int = 3000) -> None:
    ledger = Ledger(path)
    keys = [f"{n * 2654435761 % 2**32:08x}" for n in range(answers)]
    ledger.record(JUDGE, [Verdict(key, grade=n % 4) for n, key in enumerate(keys)])
    ledger.record(JUDGE, [Verdict("ffffffff0", status="refused", reason="why")])
    ledger.close()


def test_garbage_is_refused_and_kept(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(os.urandom(50_000))
    before = path.read_bytes()

    for ask in (lambda: Ledger(path).lookup(["a"]), lambda: Ledger(path).lock().__enter__()):
        with pytest.raises(UserError, match="move it away, or put a copy of it back") as raised:
            ask()
        assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*recovered*"))


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_of_a_truncated_ledger_what_can_be_read_is_saved_beside_it(tmp_path, share):
    path = tmp_path / "ledger.sqlite"
    filled(path)
    size = path.stat().st_size
    os.truncate(path, int(size * share) // 4096 * 4096)
    before = path.read_bytes()

    with (
        pytest.raises(UserError, match=r"is damaged .* copied to .*recovered\.sqlite") as raised,
        Ledger(path).lock(),
    ):
        pass
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    saved = Ledger(tmp_path / "ledger.recovered.sqlite")
    kept = counts(saved)["verdicts"]
    assert f" {kept} answers" in str(raised.value)
    assert 3000 * (share - 0.15) < kept < 3000
    first = saved.lookup([f"{n * 2654435761 % 2**32:08x}" for n in range(3000)])
    assert len(first) == kept
    assert not list(tmp_path.glob(".*partial*"))
    with saved.lock():
        pass  # the copy is sound and can be worked with


def test_a_broken_page_costs_only_what_it_held(tmp_path):
    path = tmp_path / "ledger.sqlite"
    filled(path)
    with path.open("r+b") as file:
        file.seek(4096 * 30)
        file.write(os.urandom(4096))

    with pytest.raises(UserError, match="recovered"), Ledger(path).lock():
        pass
    assert 2800 < counts(Ledger(tmp_path / "ledger.recovered.sqlite"))["verdicts"] < 3000


def test_a_sound_ledger_that_was_copied_is_a_ledger(tmp_path):
    filled(tmp_path / "ledger.sqlite")
    shutil.copy(tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite")

    with Ledger(tmp_path / "copy.sqlite").lock():
        assert counts(Ledger(tmp_path / "copy.sqlite")) == {"verdicts": 3000, "failures": 1}


HOLDER = """
import sys, time
from pathlib import Path
from relevance_distillery.judges.ledger.ledger import Ledger
with Ledger(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_at_once_and_a_killed_one_leaves_no_lock(tmp_path):
    path = tmp_path / "ledger.sqlite"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    start = time.monotonic()
    line = rf"in use by another run \(process {holder.pid}\): wait"
    with pytest.raises(UserError, match=line), Ledger(path).lock():
        pass
    assert time.monotonic() - start < 2
    counts(Ledger(path))  # reading is free
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with Ledger(path).lock():
        pass


def test_the_same_handle_may_lock_again_and_lets_go_at_last(tmp_path):
    ledger, other = Ledger(tmp_path / "ledger.sqlite"), Ledger(tmp_path / "ledger.sqlite")
    with ledger.lock():
        with ledger.lock():
            pass
        with pytest.raises(UserError, match="in use"), other.lock():
            pass
    with other.lock():
        pass


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_paid(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="make its folder writable"),
        Ledger(tmp_path / "file" / "ledger.sqlite").lock(),
    ):
        pass
