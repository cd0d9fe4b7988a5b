"""Models as mteb registers them (`mteb:NAME`): loaded, prompted and run by mteb's own code.

Encoders and cross-encoders run; what they get is what mteb's evaluation would give them: loaders of
batches, the side of the text (none for sentence pairs) and the metadata of the task, mteb's own
where it knows the task by name. What searches by itself in mteb is refused: cmedteb searches
exactly, and has families for late interaction, sparse vectors and BM25.

The type of the weights and the hub are mteb's choice and cannot be set here. Code that comes with
weights runs only where the caller allows it, whatever the registry says.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cmedteb.data import Hub
from cmedteb.encoding.devices import resolve_device
from cmedteb.errors import MissingExtraError, ModelError, NotAvailableError, UsageError
from cmedteb.models.card import UNKNOWN, Family, ModelCard, Sides, known
from cmedteb.models.mteb_facts import facts_from, length_of, prompts_of, runs_own_code
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import ModelFacts, Role, System, TaskContext
from cmedteb.models.registry import Loader
from cmedteb.models.weights import Weights
from cmedteb.types import Float32Array, Similarity, TaskType

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from torch.utils.data import DataLoader

# What mteb keeps its results, tasks and loaders by: the kind, the base class and the main score.
KINDS: dict[TaskType, tuple[Any, str, str]] = {
    TaskType.RETRIEVAL: ("Retrieval", "AbsTaskRetrieval", "ndcg_at_10"),
    TaskType.RERANKING: ("Reranking", "AbsTaskRetrieval", "map_at_10"),
    TaskType.STS: ("STS", "AbsTaskSTS", "cosine_pearson"),
}


@dataclass(frozen=True)
class MtebModel:
    """A model that mteb loaded, bound to a task.

    Attributes:
        model: mteb's object.
        facts: what it is.
        task: what mteb's code is told of the task.
        sided: whether it is told which side a text stands on.
    """

    model: Any
    facts: ModelFacts
    task: TaskMetadata
    sided: bool = True

    def for_task(self, context: TaskContext) -> Self:
        """The same model with what mteb's code makes of this task."""
        task, sided = task_of(context), context.type is not TaskType.STS
        sides = {role: _prompt_type(role if sided else None) for role in Role}
        prompts = prompts_of(self.model, task, sides)
        # A wrapper that cannot be asked for its prompts may choose them by anything of the task.
        unasked = {} if prompts else {"task": task.name, "task_prompt": task.prompt}
        settings = {**self.facts.settings, **unasked}
        facts = replace(self.facts, prompts=prompts, settings=settings, sides={})
        vectors = {role: {**facts.side(role), "sided": sided} for role in Role}
        facts = replace(facts, sides=vectors)
        return replace(self, facts=facts, task=task, sided=sided)

    def _told(self, size: int) -> dict[str, Any]:
        """What every call takes besides its texts; one batch, because the runner has planned it."""
        return {
            "task_metadata": self.task,
            "hf_split": self.task.eval_splits[0],
            "hf_subset": "default",
            "batch_size": size,
            "show_progress_bar": False,
        }


@dataclass(frozen=True)
class MtebEncoder(MtebModel):
    """An encoder of mteb's registry."""

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.QUERY)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.DOCUMENT)

    def _encode(self, texts: Sequence[str], role: Role) -> Float32Array:
        side = role if self.sided else None
        found = self.model.encode(
            _batch(texts, side), prompt_type=_prompt_type(side), **self._told(len(texts))
        )
        return _as_array(found)


@dataclass(frozen=True)
class MtebPairScorer(MtebModel):
    """A cross-encoder of mteb's registry."""

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float32Array:
        """Scores of shape (len(left),), in float32.

        Raises:
            ModelError: the model gives more or fewer numbers than one a pair.
        """
        found = self.model.predict(
            _batch(left, Role.QUERY), _batch(right, Role.DOCUMENT), **self._told(len(left))
        )
        scores = _as_array(found)
        if scores.size != len(left):
            raise ModelError(
                f"{self.facts.name} gave an array of shape {scores.shape} for {len(left)} pairs: "
                "a reranker gives one score a pair"
            )
        return scores.reshape(len(left))


def task_of(context: TaskContext) -> TaskMetadata:
    """The metadata of a task: mteb's own where it knows one of this name and kind."""
    import mteb

    kind = KINDS[context.type][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            known_task: TaskMetadata = mteb.get_task(context.name).metadata
        except KeyError:
            return _made_up(context)
    return known_task if known_task.type == kind else _made_up(context)


@cache
def _made_up(context: TaskContext) -> TaskMetadata:
    """Metadata from what our task says of itself.

    mteb finds a default instruction by the class of a task, so the metadata belong to one.
    """
    from mteb import abstasks
    from mteb.abstasks.task_metadata import TaskMetadata

    kind, base, main_score = KINDS[context.type]
    instruction: Any = context.instruction
    if instruction is not None and context.type is not TaskType.STS:
        instruction = {"query": instruction}
    name = context.name or f"cmedteb-{context.type}"
    about = TaskMetadata(
        name=name,
        description=context.instruction or name,
        type=kind,
        category="t2t",
        eval_langs=["cmn-Hans"],
        eval_splits=["test"],
        main_score=main_score,
        dataset={"path": name, "revision": "local"},
        prompt=instruction,
    )
    _TASKS.append(type(name, (getattr(abstasks, base),), {"metadata": about}))
    return about


_TASKS: list[type] = []  # mteb looks among living classes


def _prompt_type(side: Role | None) -> Any:  # noqa: ANN401  mteb's PromptType
    from mteb.types import PromptType

    return None if side is None else PromptType(str(side))


def _batch(texts: Sequence[str], side: Role | None) -> DataLoader[Any]:
    """All texts as one batch, with the columns that mteb's own loaders have on this side."""
    from datasets import Dataset
    from torch.utils.data import DataLoader

    columns: dict[str, list[str]] = {"text": list(texts)}
    if side is not None:
        columns["id"] = [str(row) for row in range(len(texts))]
        columns["query" if side is Role.QUERY else "body"] = list(texts)
    table: Any = Dataset.from_dict(columns)
    return DataLoader(table, batch_size=max(1, len(texts)))


def _as_array(found: Any) -> Float32Array:  # noqa: ANN401  whatever mteb's code returns
    import torch

    if isinstance(found, torch.Tensor):
        dense = found.to_dense() if found.is_sparse else found
        found = dense.detach().float().cpu().numpy()
    return np.asarray(found, dtype=np.float32)


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> System:
    """The model of mteb's registry that a card names.

    Raises:
        MissingExtraError: mteb is not installed.
        UsageError: mteb registers no such model or not at this revision, its kind does not run
            here, it needs --trust-remote-code, or an option is given that mteb decides.
        NotAvailableError: mteb cannot load it.
    """
    del weights
    meta = find_meta(str(card.settings.get("model", "")), known(card.revision))
    if options.hub is not Hub.HF or options.dtype != "auto":
        flag = "--dtype" if options.hub is Hub.HF else "--hub"
        raise UsageError(f"mteb:{meta.name} is loaded by mteb's own code: leave {flag} out")
    _refuse_kind(meta)
    similarity = None if meta.is_cross_encoder else _similarity(meta)
    if runs_own_code(meta) and not options.trust_remote_code:
        raise UsageError(
            f"mteb loads {meta.name} with code of the model's own. Read it, then allow it with "
            "--trust-remote-code."
        )
    model = _open(meta, options)
    _refuse_search(model, meta)
    context = TaskContext(name="", type=TaskType.RETRIEVAL)
    facts, task = facts_from(model, meta, similarity), task_of(context)
    if meta.is_cross_encoder:
        return MtebPairScorer(model, facts, task).for_task(context)
    return MtebEncoder(model, facts, task).for_task(context)


def find_meta(name: str, revision: str | None = None) -> ModelMeta:
    """What mteb registers under a name (`org/model`, or with `@revision`).

    Raises:
        MissingExtraError: mteb is not installed.
        UsageError: it registers no such model, or not at this revision.
    """
    try:
        import mteb
    except ImportError as error:
        raise MissingExtraError(error.name or "mteb", "mteb") from error
    bare, _, pinned = name.partition("@")
    try:
        return mteb.get_model_meta(bare, revision=pinned or revision)
    except KeyError as error:
        last_of = {
            str(meta.name): str(meta.name).rpartition("/")[2] for meta in mteb.get_model_metas()
        }
        near = get_close_matches(bare.rpartition("/")[2], last_of.values(), n=3)
        alike = sorted(name for name, last in last_of.items() if last in near)
        close = list(dict.fromkeys([*get_close_matches(bare, last_of, n=3), *alike]))
        hint = f" Did you mean {' or '.join(close[:3])}?" if close else ""
        raise UsageError(
            f"mteb {version('mteb')} registers no model {bare!r}.{hint} A model that is not "
            "registered runs by its hub id, without mteb."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"mteb {version('mteb')} registers {bare} at another revision: {error} Run it by its "
            "hub id, without mteb."
        ) from error


def card_of(name: str) -> ModelCard:
    """What mteb's registry says of a model, as a card.

    Raises:
        MissingExtraError: mteb is not installed.
        UsageError: mteb registers no such model.
    """
    meta = find_meta(name)
    size = UNKNOWN if meta.n_parameters is None else meta.n_parameters
    return ModelCard(
        name=re.sub(r"[^A-Za-z0-9._-]", "-", f"mteb-{meta.name}"),
        title=f"{meta.name} as mteb runs it",
        family=Family.MTEB,
        settings={"model": meta.name},
        revision=meta.revision or UNKNOWN,
        similarity=_stated_similarity(meta) or UNKNOWN,
        dimension=meta.embed_dim if isinstance(meta.embed_dim, int) else UNKNOWN,
        max_length=length_of(meta) or UNKNOWN,
        licence=meta.license or UNKNOWN,
        training_sets=UNKNOWN
        if meta.training_datasets is None
        else tuple(sorted(meta.training_datasets)),
        parameters=Sides(query=size, document=0 if meta.is_cross_encoder else size),
        sources={"default": f"the registry of mteb {version('mteb')}"},
    )


def _refuse_kind(meta: ModelMeta) -> None:
    """Refuse, before anything is downloaded, what has no single vector or score a text."""
    kinds, name = set(meta.model_type), meta.name
    if meta.loader is None:
        raise NotAvailableError(f"mteb registers results of {name}, and no code that runs it")
    if "text" not in meta.modalities:
        raise UsageError(f"mteb:{name} reads {', '.join(meta.modalities)}, and no text")
    if "late-interaction" in kinds or str(meta.similarity_fn_name) == "MaxSim":
        instead = f"late interaction is a family of cmedteb's own, with exact search: -m {name}"
    elif str(name).startswith(("mteb/baseline-bm25", "mteb/baseline-bb25")):
        instead = "BM25 is a family of cmedteb's own, with Chinese tokenisers: -m bm25"
    elif "hybrid" in kinds:
        instead = "fusion is a family of cmedteb's own: -m fusion:bm25+MODEL"
    elif kinds == {"sparse"}:
        instead = f"sparse encoders are a family of cmedteb's own: -m {name}"
    else:
        return
    raise UsageError(f"mteb:{name} gives no single vector a text. Instead, {instead}")


def _refuse_search(model: Any, meta: ModelMeta) -> None:  # noqa: ANN401  what mteb loaded
    from mteb.models import CrossEncoderProtocol, EncoderProtocol

    wanted = CrossEncoderProtocol if meta.is_cross_encoder else EncoderProtocol
    if not isinstance(model, wanted):
        raise UsageError(
            f"mteb:{meta.name} is loaded as {type(model).__name__}, which searches by itself and "
            "gives neither vectors nor scores of pairs. Run its weights by a family of cmedteb's "
            f"own: -m {meta.name}"
        )


def _stated_similarity(meta: ModelMeta) -> Similarity | None:
    """What the registry says, where it is something that cmedteb scores by."""
    stated = str(meta.similarity_fn_name)
    return Similarity(stated) if stated in list(Similarity) else None


def _similarity(meta: ModelMeta) -> Similarity:
    found = _stated_similarity(meta)
    if found is not None:
        return found
    instead = f"api:{str(meta.name).rpartition('/')[2]}" if "API" in meta.framework else meta.name
    raise UsageError(
        f"mteb's registry says {meta.similarity_fn_name or 'nothing'} for how the vectors of "
        f"{meta.name} are compared, and cmedteb scores dot and cosine only. Run it without mteb: "
        f"-m {instead}"
    )


def _open(meta: ModelMeta, options: ModelOptions) -> Any:  # noqa: ANN401  mteb's object
    if options.offline and "API" in meta.framework:
        raise NotAvailableError(f"mteb:{meta.name} is an API, and no connection may be opened")
    device = None if options.device == "auto" else resolve_device(options.device)
    try:
        with _no_connection(options.offline):
            return meta.load_model(device=device)
    except (ArithmeticError, AttributeError, ImportError, LookupError, OSError) as error:
        raise _cannot_load(meta, error) from error
    except (RuntimeError, TypeError, ValueError) as error:
        raise _cannot_load(meta, error) from error


def _cannot_load(meta: ModelMeta, error: Exception) -> NotAvailableError:
    return NotAvailableError(
        f"mteb {version('mteb')} cannot load {meta.name}: {type(error).__name__}: {error}"
    )


@contextmanager
def _no_connection(offline: bool) -> Iterator[None]:
    """Keep the hub's client from connecting, as HF_HUB_OFFLINE does."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


LOADER = Loader(load, settings=frozenset({"model"}))
