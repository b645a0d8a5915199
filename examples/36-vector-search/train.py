"""Train a model that makes a vector of an image, and index the vectors of the images it knows."""

from pathlib import Path

import joblib
import lancedb
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

here = Path(__file__).parent
index, model = here / "model" / "index", here / "model" / "predictor"
model.mkdir(parents=True, exist_ok=True)

digits = datasets.load_digits()
known = digits.data[20:] / 16
vectors = PCA(16, random_state=0).fit_transform(known)
embedding = LinearRegression().fit(known, vectors)  # the same projection, as a model that predicts
joblib.dump(embedding, model / "model.joblib")

rows = [
    {"vector": vector.tolist(), "number": number, "digit": int(digit)}
    for number, (vector, digit) in enumerate(
        zip(embedding.predict(known), digits.target[20:], strict=True)
    )
]
lancedb.connect(index).create_table("digits", rows, mode="overwrite")
print(f"indexed {len(rows)} digits, saved model.joblib")
