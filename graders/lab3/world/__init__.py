"""The world of a lane: what is protected, what watches it, what is written to it, what may recover it.

lane        a lane that is open; `setting` is what it is made of, `opening` opens it, `drilling` breaks it
workload    the learner's objects, and the grader's canary namespace
prober      the probes of the steady state
ledger      records that are written under seal, and looks at what came back
scripts     dr/backup, dr/restore, dr/verify in their sandboxes
states      healthy, and the three ways to be sick
baseline    what an experiment must leave as it was
backups     the schedule, and the sealed
"""
