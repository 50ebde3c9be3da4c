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
    reasons = dict(zip(reading.skipped["path"], reading.skipped["reason"], strict=True))
    assert reasons == {
        "people.csv": "a table, not a document; give it as documents=FILE",
        "latin-1.txt": "is not valid UTF-8; save it as UTF-8",
    }


def test_text_is_called_by_its_first_line_where_that_is_a_title():
    documents = DocumentSource.parse(INPUTS / "text").read().documents
    assert dict(zip(documents["path"], documents["title"], strict=True)) == {
        "heading.txt": "Minutes of the board, 3 March",
        "mail.txt": "Badges that open nothing",
        "overlined.rst": "Booking a meeting",
        "sentence.txt": "Parental leave lasts sixteen weeks.",
        "notice.txt": "PRINTER OUT OF ORDER, 3RD FLOOR",
        # The name of the file is the better title.
        "wrapped_lines.txt": "wrapped lines",
        "extensions-by-floor.txt": "extensions by floor",
        "meeting-rooms.txt": "meeting rooms",
        "print_settings.txt": "print settings",
        "shopping.txt": "shopping",
        "hours.txt": "hours",
    }


@pytest.mark.parametrize(
    ("content", "kind", "title"),
    [
        ("A *short* guide\n\nto badges", ".md", "A short guide"),
        ("Untertitel\n---\nText", ".md", "Untertitel"),
        ("\n休暇の申請\n\n人事部に出します。", ".txt", "休暇の申請"),
        ("TITLE:  Two   words\r\nAuthor: A\r\n", ".txt", "Two words"),
        ("Title:\n\nText", ".txt", ""),
        ("One line and nothing else", ".txt", ""),
        ("THE SOFTWARE IS PROVIDED\nAS IT IS, WITHOUT", ".txt", ""),
        ("2026-05-04 10:00 Server started.\n2026-05-04 10:01 Ready.", ".txt", ""),
        ("1. Unpack the buoy\n\n2. Charge it", ".txt", ""),
        (f"{'Long ' * 16}\n\nText", ".txt", ""),
        (f"{'L' * 101}\n\nText", ".txt", ""),
        ("", ".txt", ""),
    ],
)
def test_what_a_first_line_is(content, kind, title):
    assert parse(content.encode(), kind).title == title


def word(body: str, footnotes: str = "") -> bytes:
    """A DOCX file with a body of our own."""
    docx = pytest.importorskip("docx")
    from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part
    from docx.oxml import parse_xml

    document = docx.Document()
    for child in parse_xml(f'<w:body xmlns:w="{W}">{body}</w:body>'):
        document.element.body.append(child)
    if footnotes:
        notes = f'<w:footnotes xmlns:w="{W}">{footnotes}</w:footnotes>'.encode()
        name, kind = PackURI("/word/footnotes.xml"), CONTENT_TYPE.WML_FOOTNOTES
        part = Part(name, kind, notes, document.part.package)
        document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
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


def test_footnotes_follow_the_text_of_a_docx():
    notes = (
        f'<w:footnote w:type="separator" w:id="-1"><w:p>{run("line")}</w:p></w:footnote>'
        f'<w:footnote w:id="1"><w:p>{run("Except in Oslo.")}</w:p></w:footnote>'
    )
    body = f'<w:p>{run("Pay monthly")}<w:r><w:footnoteReference w:id="1"/></w:r></w:p>'
    assert parse(word(body, notes), ".docx").text == "Pay monthly\n\nExcept in Oslo."


def test_a_text_box_of_a_docx_is_read_once():
    mc = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    box = f"<w:txbxContent><w:p>{run('Ask first')}</w:p></w:txbxContent>"
    body = (
        f'<w:p>{run("Travel")}<w:r><mc:AlternateContent xmlns:mc="{mc}">'
        f'<mc:Choice Requires="wps"><w:drawing>{box}</w:drawing></mc:Choice>'
        f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    assert parse(word(body), ".docx").text == "Travel\n\nAsk first"


def test_a_docx_without_a_title_takes_its_first_heading():
    heading = f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr>{run("Travel")}</w:p>'
    assert parse(word(heading + f"<w:p>{run('Book early.')}</w:p>"), ".docx").title == "Travel"


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
