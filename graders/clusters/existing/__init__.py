"""A cluster that is there already and belongs to somebody: taken by name, used with care, left as it was.

`kubeconfig` takes a person's kubeconfig, `permissions` asks what may be done with it, `guest` marks and notes
what is made, `places` brings simulated nodes, `cleanup` takes all of it away. Nothing here starts a cluster.
"""

from graders.clusters.existing.provider import ExistingProvider

__all__ = ["ExistingProvider"]
