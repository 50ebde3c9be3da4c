"""Small files as people have them, in `tests/inputs`: every visible word once, nothing else."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from relevance_distillery.documents.formats import UnreadableError, parse
from relevance_distillery.documents.source import DocumentSource

INPUTS = Path(__file__).parents[1] / "inputs"
NOT_READ = {"latin-1.txt": "UTF-8", "people.csv": "a table"}
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def read(name: str):
    path = INPUTS / name
    return parse(path.read_bytes(), path.suffix)


@pytest.mark.parametrize("name", ["markdown", "html", "text"])
def test_every_file_is_read_or_listed_with_its_reason(name):
    reading = DocumentSource.parse(INPUTS / name).read()
    files = {path.name for path in (INPUTS / name).iterdir()}
    skipped = dict(zip(reading.skipped["path"], reading.skipped["reason"], strict=True))
    assert files == set(reading.documents["path"]) | set(skipped)
    for path, reason in NOT_READ.items():
        assert path not in skipped or reason in skipped[path]
    assert (reading.documents["text"] != "").all()


def test_text_between_thematic_breaks_stays():
    parsed = read("markdown/thematic-break.md")
    assert "Everybody may work from home" in parsed.text
    assert parsed.title == "Hybrid work"
    assert parsed.note == ""


def test_front_matter_is_taken_as_it_is_written():
    parsed = read("markdown/front-matter.md")
    assert (parsed.title, parsed.author, parsed.modified) == ("No", "0123", "2026-02-03")
    assert parsed.metadata == {"opens": "12:30", "flag": "yes", "tags": ["a", "1"]}
    assert parsed.text.strip() == "Body."


def test_broken_front_matter_leaves_a_note():
    parsed = read("markdown/broken-front-matter.md")
    assert parsed.text.strip() == "Ask the desk."
    assert "YAML" in parsed.note


def test_a_sharp_that_belongs_to_a_name_stays_in_the_heading():
    assert read("markdown/sharp.md").title == "Getting started with C#"


def test_underlined_headings_are_headings():
    from relevance_distillery.documents.markdown import sections

    parsed = read("markdown/setext.md")
    assert parsed.title == "Expense claims"
    found = sections(parsed.text)
    assert [part.path for part in found] == [("Expense claims",), ("Expense claims", "Hotels")]
    assert found[1].body.endswith("- a list\n---\nafter a rule")


def test_html_without_optional_end_tags():
    text = read("html/optional-end-tags.html").text
    for line in ("Handbook", "- ten days", "- fully paid", "| 2025 | 8 |", "| 2026 | 10 |"):
        assert line in text.splitlines()
    for line in ("**Lead**", "approves", "**HR**", "files", "Twins", "Twenty days."):
        assert line in text.splitlines()
    assert "Set leave_days to 2*10\n\nThen save" in text
    assert "Written by HR" in text


def test_a_page_in_a_form_and_a_named_encoding():
    assert read("html/page-in-a-form.html").text.split() == ["#", "Printers", "Floor", "2"]
    assert read("html/latin-1.html").title == "Café"
    assert "Tür öffnet" in read("html/latin-1.html").text


def test_what_is_left_out_of_a_folder_is_named_with_its_reason():
    reading = DocumentSource.parse(INPUTS / "text").read()
    assert reading.documents["path"].tolist() == ["heading.txt"]
    reasons = dict(zip(reading.skipped["path"], reading.skipped["reason"], strict=True))
    assert reasons == {
        "people.csv": "a table, not a document; give it as documents=FILE",
        "latin-1.txt": "is not valid UTF-8; save it as UTF-8",
    }


def word(body: str) -> bytes:
    """A DOCX file with a body of our own."""
    docx = pytest.importorskip("docx")
    from docx.oxml import parse_xml

    document = docx.Document()
    for child in parse_xml(f'<w:body xmlns:w="{W}">{body}</w:body>'):
        document.element.body.append(child)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def cell(inner: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"<w:p>{run('Pay ')}<w:ins>{run('within 14 days')}</w:ins></w:p>", "Pay within 14 days"),
        (f"<w:p>{run('Pay')}<w:del><w:r><w:delText>never</w:delText></w:r></w:del></w:p>", "Pay"),
        (f"<w:sdt><w:sdtContent><w:p>{run('Block')}</w:p></w:sdtContent></w:sdt>", "Block"),
        (f"<w:p><w:sdt><w:sdtContent>{run('Inline')}</w:sdtContent></w:sdt></w:p>", "Inline"),
        (f'<w:p><w:fldSimple w:instr="DATE">{run("3 May")}</w:fldSimple></w:p>', "3 May"),
        (f"<w:p>{run('in ')}<w:smartTag>{run('Oslo')}</w:smartTag></w:p>", "in Oslo"),
        (f"<w:p><w:moveFrom>{run('a')}</w:moveFrom><w:moveTo>{run('b')}</w:moveTo></w:p>", "b"),
        (f"<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>x</w:t></w:r>{run('seen')}</w:p>", "seen"),
        (
            "<w:tbl><w:tr>"
            + cell(f"<w:p>{run('Wide')}</w:p>", '<w:gridSpan w:val="2"/>')
            + cell(f"<w:p>{run('Tall')}</w:p>", '<w:vMerge w:val="restart"/>')
            + "</w:tr><w:tr>"
            + cell(f"<w:p>{run('a')}</w:p><w:p>{run('b')}</w:p>")
            + cell("<w:tbl><w:tr>" + cell(f"<w:p>{run('in')}</w:p>") + "</w:tr></w:tbl><w:p/>")
            + cell("<w:p/>", "<w:vMerge/>")
            + "</w:tr></w:tbl>",
            "| Wide | Tall |\n| a b | in |  |",
        ),
    ],
)
def test_every_visible_word_of_a_docx_is_read_once(body, text):
    assert parse(word(body), ".docx").text == text


def pdf(**options: str) -> bytes:
    """A PDF file of one page with text."""
    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(200, 200)
    name = NameObject
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    fonts = DictionaryObject(
        {name("/F1"): DictionaryObject({name(k): name(v) for k, v in font.items()})}
    )
    page[name("/Resources")] = DictionaryObject({name("/Font"): fonts})
    content = DecodedStreamObject()
    content.set_data(b"BT /F1 12 Tf 20 100 Td (Badge policy) Tj ET")
    page[name("/Contents")] = writer._add_object(content)
    writer.add_metadata({"/Title": "Badges", "/ModDate": options.pop("date", "D:20260105")})
    if options:
        writer.encrypt(algorithm="RC4-128", **options)
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def test_a_pdf_that_is_only_closed_to_changes_is_read():
    assert parse(pdf(user_password="", owner_password="boss"), ".pdf").text == "Badge policy"
    with pytest.raises(UnreadableError, match="is encrypted"):
        parse(pdf(user_password="secret", owner_password="boss"), ".pdf")


def test_a_date_of_a_pdf_that_is_none_is_dropped():
    parsed = parse(pdf(date="2026-01-05"), ".pdf")
    assert (parsed.text, parsed.modified) == ("Badge policy", "")


def test_a_broken_pdf_says_so_without_a_word_of_the_library(caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(UnreadableError, match="no whole PDF"):
        parse(pdf()[:200], ".pdf")
    assert "EOF marker" not in caplog.text
