"""A model that answers with the number that it is asked, and counts: for tests that nothing is lost
and nothing is asked twice.
"""

MODEL = '''
"""Answers with the number that it is asked, and counts: one line of a file a prediction."""
import os
import time

from sampan.sdk import InferOutput, InferRequest, InferResponse, Model


class Counting(Model):
    def predict(self, payload, headers=None):
        if not isinstance(payload, InferRequest):
            return {"predictions": [note(n) for n in payload["instances"]]}
        (given,) = payload.inputs
        number = note(int(given.data[0]))
        if given.name == "parts":
            return (f"{number}/{part}" for part in range(3))
        answer = InferOutput("number", [1], "INT64", [number])
        return InferResponse("1", self.name, [answer])


def note(number):
    time.sleep(float(os.environ.get("TAKES", "0")))
    with open(os.environ["COUNT_FILE"], "a") as counted:
        counted.write(f"{number}\\n")
    return number
'''
