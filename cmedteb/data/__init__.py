"""Data sets: found (`locate`), loaded and checked (`load_ranking`, `load_pairs`), written again.

This room knows files and hubs; it knows nothing of models, metrics or task cards beyond their
`[source]` table.
"""

from cmedteb.data.export import export_folder
from cmedteb.data.formats import Layout, detect, holds_data_set, splits
from cmedteb.data.hub import Hub, HubFolder, hub_folder
from cmedteb.data.identity import pairs_hash, ranking_hash
from cmedteb.data.load import load_pairs, load_ranking
from cmedteb.data.source import Access, Located, Source, locate

__all__ = [
    "Access",
    "Hub",
    "HubFolder",
    "Layout",
    "Located",
    "Source",
    "detect",
    "export_folder",
    "holds_data_set",
    "hub_folder",
    "load_pairs",
    "load_ranking",
    "locate",
    "pairs_hash",
    "ranking_hash",
    "splits",
]
