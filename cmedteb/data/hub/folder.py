"""A repository as a folder, from whichever hub is asked."""

from __future__ import annotations

from cmedteb.data.hub.request import Hub, HubFolder, Kind, Request


def hub_folder(
    repository: str,
    revision: str | None,
    *,
    kind: Kind,
    hub: Hub,
    offline: bool,
    ignore: tuple[str, ...] = (),
) -> HubFolder:
    """A whole repository of a hub, except what `ignore` names.

    Args:
        repository: `organisation/name`.
        revision: commit, branch or tag; None is the hub's current one.
        kind: "dataset" or "model".
        hub: which hub.
        offline: only the cache; no connection is opened.
        ignore: patterns of files that are not wanted.

    Raises:
        NotAvailableError: no such repository or revision, no permission, the hub cannot be
            reached, or offline and not cached.
        DataError: a file arrived damaged.
    """
    return bring(Request(repository, revision, kind, offline, ignore=ignore), hub)


def bring(request: Request, hub: Hub) -> HubFolder:
    """As `hub_folder`, from a request."""
    if hub is Hub.MODELSCOPE:
        from cmedteb.data.hub.modelscope import modelscope_folder

        return modelscope_folder(request)
    from cmedteb.data.hub.huggingface import hf_folder

    return hf_folder(request)
