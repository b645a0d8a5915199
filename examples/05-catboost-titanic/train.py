# /// script
# dependencies = ["catboost>=1.2"]
# ///
"""Train a classifier on passengers and save it as `model/model.cbm`."""

from pathlib import Path

from catboost import CatBoostClassifier

target = Path(__file__).parent / "model" / "model.cbm"
target.parent.mkdir(exist_ok=True)
passengers = [
    [sex, age, fare] for sex in ("female", "male") for age in range(5, 65, 10) for fare in (8, 60)
]
survived = ["yes" if sex == "female" or age < 15 else "no" for sex, age, _ in passengers]
model = CatBoostClassifier(
    iterations=50,
    cat_features=[0],
    one_hot_max_size=2,
    random_seed=0,
    thread_count=1,
    verbose=False,
    allow_writing_files=False,
)
model.fit(passengers, survived)
model.set_feature_names(["sex", "age", "fare"])
model.save_model(target)
print(f"trained on {len(passengers)} passengers, saved {target.name}")
