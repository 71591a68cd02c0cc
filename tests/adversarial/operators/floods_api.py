import threading

import api

api.jobs()


def flood():
    while True:
        api.ask("GET", "/api/v1/pods")
        api.ask("GET", f"{api.JOBS}/mltrainingjobs")
        api.ask("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}})


for _ in range(48):
    threading.Thread(target=flood).start()
