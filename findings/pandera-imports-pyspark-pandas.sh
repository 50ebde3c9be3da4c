#!/usr/bin/env bash
# pandera 0.35.0 with pyspark 4.3.0 and pandas 3.1.1, Python 3.11, Linux.
# `import pandera.pandas`, which checks pandas tables alone, also tries pyspark.pandas wherever
# pyspark is installed. That warns on every start that it does not yet support pandas 3 and
# recommends an older pandas, though nothing uses Spark; a tenth of a second goes with it.
# Seen on 2026-11-30:
#   without pyspark: no warning
#   with it: PySpark does not yet fully support pandas >= 3.0.0. ... It is recommended to use pandas
#   < 3.0.0 for now.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" pandera==0.35.0 pandas==3.1.1 numpy==2.4.6 pyarrow==25.0.1
cat > "$folder/look.py" <<'PYTHON'
import sys
import warnings

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import pandera.pandas  # noqa: F401
said = "PySpark does not yet fully support pandas"
told = [str(one.message) for one in seen if said in str(one.message)]
print(sys.argv[1], "pyspark:", told[:1] or "no warning")
assert bool(told) == (sys.argv[1] == "with")
PYTHON
"$folder/venv/bin/python" "$folder/look.py" without
"${pip[@]}" pyspark==4.3.0
"$folder/venv/bin/python" "$folder/look.py" with
