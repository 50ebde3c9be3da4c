#!/usr/bin/env bash
# openvino 2026.4.1 with openvino-telemetry 2025.2.0 (its dependency), Python 3.11, Linux.
# Importing openvino hands an event ("ov", "import") to the telemetry package at once, though nobody
# was asked and there is no file of consent yet. What is
# handed over names no model and no data. Where the telemetry package cannot be imported, OpenVINO
# takes a stub of its own and works as before.
# Seen on 2026-11-29:
#   with the package: [('ov', 'import', 'general_import')]
#   without it: openvino.tools.ovc.telemetry_stub
# Exits with another status than 0 where that has changed. Nothing is sent: sending is replaced.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  openvino==2026.4.1 openvino-telemetry==2025.2.0 numpy==2.4.6
cat > "$folder/with.py" <<'PYTHON'
import openvino_telemetry

events = []
openvino_telemetry.Telemetry.send_event = lambda self, *event, **rest: events.append(event)
import openvino  # noqa: E402, F401

print("with the package:", events)
assert events == [("ov", "import", "general_import")], events
PYTHON
cat > "$folder/without.py" <<'PYTHON'
import sys

sys.modules["openvino_telemetry"] = None
from openvino.tools.ovc import telemetry_utils

print("without it:", telemetry_utils.tm.__name__)
assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
PYTHON
mkdir "$folder/home"
HOME="$folder/home" "$folder/venv/bin/python" "$folder/with.py"
HOME="$folder/home" "$folder/venv/bin/python" "$folder/without.py"
