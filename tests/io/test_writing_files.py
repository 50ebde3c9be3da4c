"""Files and folders are written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from relevance_distillery.cli import one_line
from relevance_distillery.io.files import replacing, sweep_partials, write_text


def test_a_write_that_breaks_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    write_text(path, "old")

    def half() -> None:
        with replacing(path) as partial:
            partial.write_text("ne")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_left_half_written_is_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    table = tmp_path / "labels.parquet"
    old, torn = table / "2026-01-05" / table.name, table / "2026-01-06"
    write_text(old, "whole")
    torn.mkdir()
    for folder in (tmp_path, old.parent, torn):
        (folder / f".{table.name}.{ended.pid}.partial").write_text("half")
    running = tmp_path / f".{table.name}.{os.getppid()}.partial"
    running.write_text("of a run that goes on")
    sweep_partials(table)
    assert sorted(tmp_path.rglob("*")) == sorted([running, table, old.parent, old])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"

    def full() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            pd.DataFrame({"a": range(100_000)}).to_parquet("/dev/full")

    with pytest.raises(OSError, match="No space") as raised:
        full()
    assert raised.value.filename == str(path)
    assert str(one_line(raised.value)).endswith(
        "labels.parquet: the disk is full: free some space and run again, finished work is kept"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replacing(tmp_path / "deep" / "model") as partial:
            partial.mkdir()
            (partial / f"{text}.txt").write_text(text)
    assert [path.name for path in (tmp_path / "deep").rglob("*")] == ["model", "new.txt"]


def test_nothing_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "line\r\n")
    with replacing(path):
        pass
    assert path.read_bytes() == b"line\r\n"
