"""The registered labeler inside a Spark job, where Java is present."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from checkout import ROOT
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.inference import Labeler
from tiny_models import tiny_data

pyspark = pytest.importorskip("pyspark", reason="pip install 'relevance-distillery[spark]'")
pytestmark = pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java")


def test_a_spark_job_gives_the_grades_of_the_labeler(
    artifact: Path, labeler: Labeler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import SparkSession, functions

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("spark", artifact_location=(tmp_path / "runs").as_uri())
    mlflow.set_experiment("spark")
    flavor.log_and_register(artifact, "spark-labeler", {}, {})
    table = tiny_data().learn.pairs[["query", "text"]].head(300).reset_index(drop=True)
    table["title"] = ["w1 w2" if row % 3 else "" for row in range(len(table))]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "64")
        .getOrCreate()
    )
    try:
        grade = mlflow.pyfunc.spark_udf(spark, "models:/spark-labeler/1", env_manager="local")
        pairs = spark.createDataFrame(table.assign(row=table.index).to_dict("records")).repartition(
            3
        )
        graded = pairs.withColumn("graded", grade(functions.struct("query", "text", "title")))
        graded.select("row", "graded.*").write.parquet(str(tmp_path / "graded"))
    finally:
        spark.stop()
    found = pd.read_parquet(tmp_path / "graded").sort_values("row").reset_index(drop=True)
    ours = labeler.grade(table)
    assert found["row"].tolist() == list(range(len(table)))
    assert found["grade"].tolist() == ours["grade"].tolist()
    for column in ("expected_grade", "confidence", "score"):
        np.testing.assert_allclose(found[column], ours[column], atol=1e-5)
    np.testing.assert_allclose(
        np.stack(found["probabilities"]), np.stack(ours["probabilities"]), atol=1e-5
    )
