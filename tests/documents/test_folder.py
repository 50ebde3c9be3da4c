"""A folder of documents: what is read, what is left out, and what is said about it."""

from __future__ import annotations

import gzip
import json

import pytest

from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError


def read(folder, **options):
    return DocumentSource.parse(folder).read(**options)


def reasons(reading):
    return dict(zip(reading.skipped["path"], reading.skipped["reason"], strict=True))


def test_front_matter_title_author_date_and_path(tmp_path):
    page = tmp_path / "people" / "travel-policy.md"
    page.parent.mkdir()
    page.write_text(
        "---\ntitle: Travel policy\nauthor: [Ada L., Bo K.]\ndate: 2026-01-08\ntags: [a, b]\n---\n"
        "# Travel\n\nBook early.\n"
    )
    row = read(tmp_path).documents.iloc[0]
    assert row.document_id == row.path == "people/travel-policy.md"
    assert (row.title, row.author, row.modified) == ("Travel policy", "Ada L., Bo K.", "2026-01-08")
    assert row.text == "# Travel\n\nBook early."
    metadata = json.loads(row.metadata)
    assert metadata == {"file_name": "travel-policy.md", "folder": "people", "tags": ["a", "b"]}


def test_title_falls_back_on_heading_then_file_name(tmp_path):
    (tmp_path / "a.md").write_text("# Laptop *refresh*\n\nEvery four years.")
    (tmp_path / "clock_check-2026.txt").write_text("look at the clock")
    titles = read(tmp_path).documents.set_index("path")["title"]
    assert titles["clock_check-2026.txt"] == "clock check 2026"
    assert "Laptop" in titles["a.md"]


def test_html_keeps_text_and_drops_scripts(tmp_path):
    (tmp_path / "faq.html").write_text(
        "<html><head><title>Receipts</title><meta name='author' content='Rita'>"
        "<meta name='date' content='2026-05-11'><style>p{color:red}</style></head><body>"
        "<script>alert('stolen')</script><h2>Rules</h2><p>Keep <a href='http://x'>them</a>.</p>"
        "<dl><dt>Lost it?</dt><dd>Ask the shop.</dd></dl></body></html>"
    )
    row = read(tmp_path).documents.iloc[0]
    assert (row.title, row.author, row.modified) == ("Receipts", "Rita", "2026-05-11")
    assert "stolen" not in row.text
    assert "color" not in row.text
    assert "http" not in row.text
    assert "## Rules" in row.text
    assert "Keep them." in row.text
    assert "**Lost it?**" in row.text


def test_gzip_is_unpacked(tmp_path):
    (tmp_path / "notes.md.gz").write_bytes(gzip.compress(b"# Notes\n\nJuno slipped."))
    assert read(tmp_path).documents["title"].tolist() == ["Notes"]


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path):
    (tmp_path / "good.md").write_text("fine")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "binary.txt").write_bytes(b"ab\0cd")
    (tmp_path / "latin.txt").write_bytes("Malmö".encode("latin-1"))
    (tmp_path / "empty.md").write_text("---\nauthor: Nobody\n---\n")
    (tmp_path / "broken.md.gz").write_bytes(b"not gzip")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / ".hidden.md").write_text("hidden")
    reading = read(tmp_path)
    assert reading.documents["path"].tolist() == ["good.md"]
    found = reasons(reading)
    assert "not read" in found["photo.png"]
    assert "binary" in found["binary.txt"]
    assert "UTF-8" in found["latin.txt"]
    assert "both empty" in found["empty.md"]
    assert "gzip" in found["broken.md.gz"]
    assert "bad.pdf" in found
    assert ".hidden.md" not in found


def test_a_huge_document_is_skipped_also_when_it_is_packed(tmp_path):
    (tmp_path / "good.md").write_text("fine")
    (tmp_path / "huge.txt").write_bytes(b"x" * 2_000_000)
    (tmp_path / "bomb.txt.gz").write_bytes(gzip.compress(b"x" * 50_000_000))
    found = reasons(read(tmp_path, max_document_mb=1))
    assert found["huge.txt"] == found["bomb.txt.gz"] == "larger than 1 MB"


def test_broken_front_matter_is_said_and_the_document_kept(tmp_path):
    (tmp_path / "a.md").write_text("---\ntitle: [unclosed\n---\nBody stays.")
    reading = read(tmp_path)
    assert reading.documents["text"].tolist() == ["Body stays."]
    assert "front matter" in reasons(reading)["a.md"]


def test_globs(tmp_path):
    for name in ("a/x.md", "a/y.txt", "drafts/z.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    read_paths = read(tmp_path, include=["*.md"], exclude=["drafts/"]).documents["path"].tolist()
    assert read_paths == ["a/x.md"]


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.md").write_text("public")
    (inside / "link.md").symlink_to(outside / "secret.md")
    (inside / "folder").symlink_to(outside)
    reading = read(inside)
    assert reading.documents["path"].tolist() == ["a.md"]
    assert set(reasons(reading)) == {"link.md", "folder"}


def test_limit_takes_the_same_sample_for_the_same_seed(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:02}.md").write_text(f"page {number}")
    first = read(tmp_path, limit=5, seed=1).documents["path"].tolist()
    assert len(first) == 5
    assert first == sorted(first)
    assert first == read(tmp_path, limit=5, seed=1).documents["path"].tolist()
    assert first != read(tmp_path, limit=5, seed=2).documents["path"].tolist()


def test_docx_headings_lists_and_tables(tmp_path):
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.core_properties.author = "Paul"
    document.add_heading("Backups", 1)
    document.add_paragraph("Every night.")
    document.add_table(1, 2).rows[0].cells[1].text = "Restore"
    document.save(str(tmp_path / "b.docx"))
    row = read(tmp_path).documents.iloc[0]
    assert row.author == "Paul"
    assert row.text.startswith("# Backups\n\nEvery night.")
    assert "| Restore |" in row.text


@pytest.mark.parametrize(("make", "says"), [(False, "no such file"), (True, "no readable")])
def test_missing_or_empty_folder(tmp_path, make, says):
    place = tmp_path / "docs"
    if make:
        place.mkdir()
    with pytest.raises(UserError, match=says) as caught:
        read(place)
    assert str(place) in str(caught.value)
    assert "\n" not in str(caught.value)
