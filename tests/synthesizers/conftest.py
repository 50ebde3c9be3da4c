from __future__ import annotations

import pandas as pd
import pytest

COLUMNS = ["passage_id", "document_id", "title", "heading", "text", "path", "author", "modified"]

INTRANET = [
    ("people/travel-policy-emea-2026.md", "Travel policy EMEA 2026", "Carmen Ibarra", "2026-01-08",
     "The **hotel cap** is EUR 170. Book your trains in Tripline two weeks ahead. "
     "You may extend a business trip over a weekend."),
    ("people/travel-policy-emea-2025.md", "Travel policy EMEA 2025", "Carmen Ibarra", "2025-01-09",
     "The **hotel cap** is EUR 160. Book trains and flights in Tripline. Ask for a window seat."),
    ("people/pip.md", "Performance improvement plan (PIP)", "Aisha Karim", "2025-11-03",
     "A written agreement of sixty days between an employee and a manager. "
     "Do I need a union representative for the first meeting?"),
    ("product/pip-v3-spec.md", "Port integration protocol (PIP) v3", "Elin Forsberg", "2026-02-01",
     "Harbourline talks to port systems. Every berth message carries a vessel identifier."),
    ("product/berth-errors.md", "PIP error codes", "Elin Forsberg", "2026-03-01",
     "The port rejects a message without a vessel identifier: this protocol error is final."),
    ("it/runbooks/lost-laptop.md", "Lost or stolen laptop", "Lukas Brenner", "2026-05-01",
     "Call the service desk at once. If you lost a hardware key too, tell security."),
    ("it/register-a-passkey.md", "Register a passkey", "Hanne Dahl", "2025-11-17",
     "Register two passkeys on two different devices. A passkey never expires."),
    ("finance/2026-03-12-ferrous-steering-notes.md", "Ferrous steering, 12 March 2026",
     "Oskar Blom", "2026-03-12",
     "Corvid goes live in July. The **data migration** needs another rehearsal."),
]  # fmt: skip


@pytest.fixture
def passages() -> pd.DataFrame:
    rows = [
        (f"{path}#0", path, title, "", text, path, author, modified)
        for path, title, author, modified, text in INTRANET
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
