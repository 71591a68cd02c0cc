"""The reference, with a thread that takes away pods that run, at odd moments, as soon as they do."""

import random
import runpy
import threading
import time

import api


def take_back():
    while True:
        for pod in api.ask("GET", "/api/v1/pods")[1]["items"]:
            meta = pod["metadata"]
            if pod.get("status", {}).get("phase") == "Running" and random.random() < 0.3:
                path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
                api.ask("DELETE", f"{path}?gracePeriodSeconds=0")
        time.sleep(0.3)


threading.Thread(target=take_back, daemon=True).start()
runpy.run_module("mltj_operator", run_name="__main__", alter_sys=True)
