"""Whether a judge is right as often as it says: reliability diagrams, ECE, Brier."""

from __future__ import annotations

from typing import Any

from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.cells import cell
from relevance_distillery.reporting.sections.drawing import Axis, path
from relevance_distillery.reporting.sections.naming import Judges

SIZE = {"width": 300, "height": 280, "left": 42, "right": 286, "top": 12, "bottom": 240}
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_X = Axis(0.0, 1.0, SIZE["left"], SIZE["right"])
_Y = Axis(0.0, 1.0, SIZE["bottom"], SIZE["top"])


def calibration(agreement: dict[str, Any], judges: Judges) -> dict[str, Any] | None:
    """Two diagrams and four figures for each judge with probabilities."""
    found = agreement.get("calibration") or {}
    rows = [
        _one(found[name], judges.label(name), judges.tone(name))
        for name in (*judges.main, *judges.scores)
        if found.get(name)
    ]
    if not rows:
        return None
    return {
        "size": SIZE,
        "ticks": [{"x": _X.at(t), "y": _Y.at(t), "text": f"{t:g}"} for t in _TICKS],
        "rows": rows,
    }


def _one(entry: dict[str, Any], label: str, tone: str) -> dict[str, Any]:
    relevant = entry.get("relevant") or {}
    return {
        "judge": label,
        "tone": tone,
        "pairs": wording.count(entry.get("pairs")),
        "reason": entry.get("reason", ""),
        "figures": [
            ("ECE of the grade", cell(entry.get("ece"))),
            ("Brier of the grade", cell(entry.get("brier"))),
            ("ECE of relevant", cell(relevant.get("ece"))),
            ("Brier of relevant", cell(relevant.get("brier"))),
        ],
        "diagrams": [
            {
                "title": "the grade",
                "x": "how sure",
                "y": "share right",
                **_diagram(entry.get("bins") or [], "confidence", "accuracy"),
            },
            {
                "title": "relevant or not",
                "x": "said probability",
                "y": "share relevant",
                **_diagram(relevant.get("bins") or [], "predicted", "observed"),
            },
        ],
    }


def _diagram(bins: list[dict[str, Any]], said: str, seen: str) -> dict[str, Any]:
    """Dots as large as their bins are full, joined by a line, with intervals where given."""
    kept = [one for one in bins if one.get(said) is not None and one.get(seen) is not None]
    most = max((one["pairs"] for one in kept), default=1)
    points = []
    for one in kept:
        low, high = one.get(f"{seen}_low"), one.get(f"{seen}_high")
        points.append(
            {
                "x": _X.at(one[said]),
                "y": _Y.at(one[seen]),
                "r": round(3.0 + 6.0 * (one["pairs"] / most) ** 0.5, 1),
                "low": _Y.at(low) if low is not None else None,
                "high": _Y.at(high) if high is not None else None,
                "text": f"{wording.count(one['pairs'])} pairs: said "
                f"{wording.figure(one[said], 2)}, was {wording.figure(one[seen], 2)}",
            }
        )
    return {
        "points": points,
        "line": path((point["x"], point["y"]) for point in points) if len(points) > 1 else "",
    }
