"""A fleet that is deployed by Git: engines, repository, who releases and promotes; no lab is known here.

seam             what an engine is asked for; `argocd` and `flux` are two
hub              what tells the engine what to deploy, as it is handed in; `targets`: and where to
rights           what the engine may do on each spoke, as it is handed in
manifests        what of a hand-in the grader itself applies, each with where it stands
kustomizations   of the repository: they may read nothing from elsewhere
releasefile      where in the repository the digest stands that is released
releasemanager   commits as a person would, and brings back what others throw away
promoter         promotion by a command of the learner's; `pushes` records what it pushed
trials           a program of the learner's, tried on commits
sealing          a token as the repository has it, sealed or encrypted
records          commits, pushes and runs as they are on record; `commandruns` tells of these
"""
