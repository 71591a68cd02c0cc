"""Creates pods and Events by the thousand in the namespace of the first job it sees."""

import threading

import api

space = api.wait_for_job()["metadata"]["namespace"]
made = [0, 0]


def create(number):
    at = 0
    while sum(made) < 10_000:
        at += 1
        name = f"junk-{number}-{at}"
        pod = {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        made[0] += api.ask("POST", f"/api/v1/namespaces/{space}/pods", pod)[0] == 201
        event = {
            "metadata": {"name": name},
            "involvedObject": {"kind": "MLTrainingJob", "name": "bert", "namespace": space},
            "message": "junk " * 200,
            "count": 10**9,
        }
        made[1] += api.ask("POST", f"/api/v1/namespaces/{space}/events", event)[0] == 201
        if at % 50 == 0:
            print(made, flush=True)


for number in range(24):
    threading.Thread(target=create, args=(number,)).start()
