"""For users of mteb: our results as its cache, our tasks as its tasks.

    DIR/results/<org>__<model>/<revision>/<Task>.json
    DIR/results/<org>__<model>/<revision>/model_meta.json

is what `mteb.ResultCache(DIR).load_results()` reads. Results over a part of the queries and under
other than the original judgements stay out: mteb has no word for them. Writing results does not
need mteb; tasks do.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmedteb.data.judgements import as_table
from cmedteb.errors import MissingExtraError
from cmedteb.results import ORIGINAL, TaskResult
from cmedteb.results.files import write_json
from cmedteb.results.schema import LANGUAGE
from cmedteb.results.select import Stored
from cmedteb.tasks import TaskCard
from cmedteb.types import PairData, RankingData, TaskType

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask

KEYS = (
    "dataset_revision",
    "task_name",
    "mteb_version",
    "scores",
    "evaluation_time",
    "kg_co2_emissions",
    "date",
    "evaluation_phases",
)


def export(stored: Iterable[Stored], folder: Path) -> list[Path]:
    """Write results as mteb's cache; returns the files of results."""
    written = []
    for one in stored:
        result = one.result
        if result.partial or result.judgements.version != ORIGINAL:
            continue
        model = result.model
        home = folder / "results" / model.name.replace("/", "__") / model.revision
        write_json(home / "model_meta.json", model_meta(result))
        document = result.model_dump(mode="json")
        write_json(home / f"{result.task_name}.json", {key: document[key] for key in KEYS})
        written.append(home / f"{result.task_name}.json")
    return written


def model_meta(result: TaskResult) -> dict[str, Any]:
    """What mteb's loader reads of a model; unknown is null."""
    model = result.model
    return {
        "name": model.name,
        "revision": model.revision,
        "languages": None,
        "n_parameters": model.parameters.get("document"),
        "max_tokens": model.max_length,
        "embed_dim": model.dimension,
        "similarity_fn_name": model.similarity,
        "framework": [],
        "training_datasets": None,
    }


def as_task(card: TaskCard, data: RankingData | PairData) -> AbsTask:
    """One of our tasks, with its loaded data, as a task that `mteb.evaluate` takes.

    Raises:
        MissingExtraError: mteb is not installed.
    """
    try:
        from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
        from mteb.abstasks.task_metadata import TaskMetadata
    except ImportError as error:
        raise MissingExtraError("mteb", "mteb") from error
    kinds: dict[TaskType, Any] = {
        TaskType.RETRIEVAL: "Retrieval",
        TaskType.RERANKING: "Reranking",
        TaskType.STS: "STS",
    }
    about = TaskMetadata(
        name=card.name,
        description=card.title.en,
        type=kinds[card.type],
        category="t2t",
        eval_langs=[LANGUAGE],
        eval_splits=[card.split],
        main_score="cosine_pearson" if card.type is TaskType.STS else card.main_score,
        dataset={"path": card.source.hf or card.name, "revision": data.provenance.revision},
        prompt=card.prompt.query["en"] if card.prompt else None,
    )
    base = AbsTaskSTS if isinstance(data, PairData) else AbsTaskRetrieval
    loaded = _pairs(data) if isinstance(data, PairData) else _ranking(data)

    class Ours(base):  # type: ignore[misc, valid-type]
        metadata = about
        ignore_identical_ids = card.ignore_identical_ids

        def load_data(self, **_: Any) -> None:  # noqa: ANN401  mteb passes what it likes
            self.dataset = (
                {card.split: loaded}
                if isinstance(data, PairData)
                else {"default": {card.split: loaded}}
            )
            self.data_loaded = True

    if isinstance(data, PairData):
        Ours.min_score, Ours.max_score = data.pairs.scores.min(), data.pairs.scores.max()
    task: AbsTask = Ours()
    return task


def _ranking(data: RankingData) -> dict[str, Any]:
    """A split as mteb's retrieval tasks hold it; texts are joined already, titles empty."""
    from datasets import Dataset

    query_ids, doc_ids = data.queries.ids.to_pylist(), data.corpus.ids.to_pylist()
    candidates = data.candidates
    return {
        "corpus": Dataset.from_dict(
            {"id": doc_ids, "title": [""] * len(doc_ids), "text": list(data.corpus.texts)}
        ),
        "queries": Dataset.from_dict({"id": query_ids, "text": list(data.queries.texts)}),
        "relevant_docs": as_table(data.qrels, query_ids=query_ids, doc_ids=doc_ids),
        "top_ranked": None
        if candidates is None
        else {
            query: [
                doc_ids[doc]
                for doc in candidates.docs[candidates.offsets[row] : candidates.offsets[row + 1]]
            ]
            for row, query in enumerate(query_ids)
        },
    }


def _pairs(data: PairData) -> Any:  # noqa: ANN401  a datasets.Dataset
    from datasets import Dataset

    pairs = data.pairs
    return Dataset.from_dict(
        {
            "sentence1": list(pairs.left),
            "sentence2": list(pairs.right),
            "score": pairs.scores.tolist(),
        }
    )
