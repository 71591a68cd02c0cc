"""A site for the class: static pages for staff about how everybody did, and a page for each learner.

It reads a gradebook and what stands beside it; it grades nothing, fetches nothing, and has no script.
"""

from graders.site.build import build_site
from graders.site.model import ClassModel, LabSources, SlowWait

__all__ = ["ClassModel", "LabSources", "SlowWait", "build_site"]
