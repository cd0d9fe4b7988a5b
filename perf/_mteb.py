"""mteb's side of the measurements: a model and a task of its, around our encoder and our files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def as_model(encoder: Any) -> Any:  # noqa: ANN401  mteb's protocols
    """An object with `encode_documents` and dot products as an encoder that mteb takes."""
    import numpy as np
    import torch
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder

    class Ours(AbsEncoder):
        mteb_model_meta = ModelMeta.create_empty({"name": "custom/free", "revision": "1"})

        def __init__(self) -> None:
            self.model = None

        def encode(self, inputs: Any, **_: Any) -> Any:  # noqa: ANN401  mteb's signature
            return np.concatenate([encoder.encode_documents(batch["text"]) for batch in inputs])

        def similarity(self, left: Any, right: Any) -> Any:  # noqa: ANN401  mteb's signature
            return torch.as_tensor(left) @ torch.as_tensor(right).T

    return Ours()


def file_task(folder: Path) -> Any:  # noqa: ANN401  an mteb task
    """A retrieval task over parquet files in the local layout."""
    import pyarrow.parquet as pq
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    def table(name: str) -> Any:  # noqa: ANN401  a Dataset
        found = Dataset(pq.read_table(folder / f"{name}.parquet"))
        return found.rename_column("_id", "id")

    class FileTask(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="Overhead",
            description="Row numbers.",
            type="Retrieval",
            category="t2t",
            eval_langs=["cmn-Hans"],
            eval_splits=["test"],
            main_score="ndcg_at_10",
            dataset={"path": "local", "revision": "1"},
        )

        def load_data(
            self,
            num_proc: int | None = None,
            *,
            timer: Any = None,  # noqa: ANN401  mteb's signature
            **kwargs: Any,  # noqa: ANN401
        ) -> None:
            del num_proc, timer, kwargs
            relevant: dict[str, dict[str, int]] = {}
            for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
                query, document, grade = line.split("\t")
                relevant.setdefault(query, {})[document] = int(grade)
            corpus = table("corpus")
            corpus = corpus.add_column("title", [""] * len(corpus))
            split: Any = {
                "corpus": corpus,
                "queries": table("queries"),
                "relevant_docs": relevant,
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return FileTask()
