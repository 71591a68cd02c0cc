"""Long-lived companions of a run, such as etcd or a Git server: started, watched, killed and started again.

No sandbox: a service is a program of ours, not of a learner's.
"""

from graders.services.service import Service, ServiceDied, ServiceSpec, log_tail

__all__ = ["Service", "ServiceDied", "ServiceSpec", "log_tail"]
