"""Train a classifier of credits on made-up people, whom the lender of old did not treat alike."""

import json
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

drawn = np.random.default_rng(7)
people = 2000
old = drawn.integers(0, 2, people)  # 1: over 25, whom the lender liked
income = drawn.normal(30 + 4 * old, 8, people).round(1)
debt = drawn.normal(10, 4, people).clip(0).round(1)
rows = np.column_stack([old, income, debt])
good = 0.12 * (income - 30) - 0.2 * (debt - 10) + 1.2 * old - 0.6 + drawn.normal(0, 1, people) > 0
folder = Path(__file__).with_name("model")
folder.mkdir(exist_ok=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, good.astype(int))
joblib.dump(model, folder / "model.joblib")
asked = {"instances": rows[:300].tolist()}
Path(__file__).with_name("explain.json").write_text(json.dumps(asked) + "\n")
print(f"trained on {people} people, saved model.joblib, and explain.json of 300 of them")
