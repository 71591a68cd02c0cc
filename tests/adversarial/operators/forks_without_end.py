import os

import api

api.jobs()
os.execvp("sh", ["sh", "-c", "while :; do sleep 1000 & done"])
