# /// script
# dependencies = ["autogluon.tabular[lightgbm]==1.6.3"]
# ///
"""Train a predictor of who survives a wreck and save it as AutoGluon does: the folder `model/`."""

from pathlib import Path

import pandas as pd
from autogluon.tabular import TabularPredictor

target = Path(__file__).parent / "model"
passengers = pd.DataFrame(
    [
        {"sex": sex, "age": age, "fare": fare, "survived": "yes" if sex == "female" else "no"}
        for sex in ("female", "male")
        for age in range(5, 65)
        for fare in (8, 60)
    ]
)
predictor = TabularPredictor("survived", path=str(target), verbosity=0)
predictor.fit(passengers, hyperparameters={"GBM": {"num_boost_round": 20}})
print(f"trained on {len(passengers)} passengers, saved {target.name}/predictor.pkl")
