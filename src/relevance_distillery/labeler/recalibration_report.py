"""A recalibration in one line, as tags and as metrics."""

from __future__ import annotations

from typing import Any


def _counted(recalibration: dict[str, Any]) -> str:
    return f"{recalibration['pairs']} grades of {recalibration['queries']} queries"


def _compared(recalibration: dict[str, Any]) -> str:
    found = recalibration["cross_fitted"]
    kappa, loss = found["quadratic_kappa"], found["log_loss"]
    return (
        f"quadratic kappa {kappa['before']:.3f} → {kappa['after']:.3f}, log-loss "
        f"{loss['before']:.3f} → {loss['after']:.3f} (cross-fitted over queries)"
    )


def _called(recalibration: dict[str, Any]) -> str:
    name = str(recalibration["labeler"]["name"])
    return f"version {name}" if name.isdigit() else name


def summary(recalibration: dict[str, Any]) -> str:
    """What was gained, for the run's last lines."""
    name = _called(recalibration)
    if recalibration["method"] == "grades":
        counted = _counted(recalibration)
        return f"{name} recalibrated on {counted}: {_compared(recalibration)}"
    means = recalibration["mean_probabilities"]
    shares = [";".join(f"{p:.2f}" for p in means[when]) for when in ("before", "after")]
    return (
        f"{name} recalibrated on {recalibration['pairs']} pairs without grades: mean "
        f"probabilities {shares[0]} → {shares[1]}, {recalibration['changed']:.0%} of grades change"
    )


def no_help(recalibration: dict[str, Any]) -> str:
    """Why there is no new version."""
    return (
        f"recalibration does not help {_called(recalibration)} on "
        f"{_counted(recalibration)}: {_compared(recalibration)}; no new version was made, give "
        "more grades or keep the labeler as it is"
    )


def tags(recalibration: dict[str, Any]) -> dict[str, str]:
    """Tags of the new version: what it was made from."""
    source = recalibration["labeler"]
    found = {
        "recalibrated_from": source["version"] or source["name"],
        "recalibrated_from_digest": source["digest"],
        "recalibrated_by": recalibration["method"],
        "recalibrated_on": "; ".join(recalibration["judgments"]),
        "recalibration_pairs": recalibration["pairs"],
        "recalibration_queries": recalibration.get("queries", ""),
        "recalibration_prior": ";".join(f"{share:g}" for share in recalibration.get("prior", [])),
    }
    return {name: str(value) for name, value in found.items() if value != ""}


def metrics(recalibration: dict[str, Any]) -> dict[str, float]:
    """Metrics of the run."""
    found = {"recalibration.pairs": float(recalibration["pairs"])}
    for name, values in recalibration.get("cross_fitted", {}).items():
        if isinstance(values, dict):
            found |= {
                f"recalibration.{name}_{when}": float(value) for when, value in values.items()
            }
    return found
