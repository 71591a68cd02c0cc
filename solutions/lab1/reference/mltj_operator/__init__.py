"""An operator for MLTrainingJobs.

Events only say that something happened. What to do about it is decided by `plan`, a pure function
of what a fresh read of the API shows; `reconcile` carries the plan out. Nothing that a job depends
on lives in this process, so it may die between any two requests.
"""
