"""Real nodes and pods: kind clusters on a Docker engine, also where no registry can be reached.

`dockerd` has an engine, `binary` has kind, `image` has the images. Where they cannot be downloaded they are
built here, from Debian packages and pinned Go modules.
"""
