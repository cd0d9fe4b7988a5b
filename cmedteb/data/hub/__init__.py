"""Brings a repository of a hub here as a folder, at a pinned revision.

Hugging Face (or a mirror, by HF_ENDPOINT) and ModelScope, each through its own client and cache,
for data sets and for models. What goes wrong on the way becomes one of our errors with what to do
next; offline never opens a connection.
"""

from cmedteb.data.hub.folder import bring, hub_folder
from cmedteb.data.hub.request import Hub, HubFolder, Request, check_files

__all__ = ["Hub", "HubFolder", "Request", "bring", "check_files", "hub_folder"]
