"""What can be put around any system that was loaded.

Hypothetical documents, shorter or coarser vectors, a first stage: each wrapper is a system of its
own with a name of its own.
"""

from __future__ import annotations

from cmedteb.errors import UsageError
from cmedteb.models.custom import facts_of
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import System


def wrap(system: System, options: ModelOptions) -> System:
    """The system as the options ask for it.

    Raises:
        UsageError: the system is not of the kind that a wrapper needs.
    """
    _refuse_hyde_flags(system, options)
    if options.hyde is not None:
        from cmedteb.models.hyde import with_hyde

        system = with_hyde(system, options)
    if options.truncate_dim is not None or options.quantize is not None or options.rescore:
        from cmedteb.models.stored import with_storage

        system = with_storage(system, options)
    if options.first_stage is not None or options.rerank_depth is not None:
        from cmedteb.models.two_stage import with_first_stage

        system = with_first_stage(system, options)
    return system


def _refuse_hyde_flags(system: System, options: ModelOptions) -> None:
    """Without hypothetical documents, flags about them would change nothing."""
    idle = sorted(name for name in options.given if name.startswith("hyde_"))
    if idle and options.hyde is None and "hyde" not in facts_of(system).settings:
        raise UsageError(f"--{idle[0].replace('_', '-')} belongs to --hyde FILE|MODEL: give both")
