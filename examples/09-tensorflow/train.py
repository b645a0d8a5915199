# /// script
# dependencies = [
#   "tensorflow-cpu>=2.18; sys_platform != 'darwin'", "tensorflow>=2.18; sys_platform == 'darwin'",
# ]
# ///
"""Save a classifier of irises as a SavedModel in `model/1`: the nearest of the species' means.

Besides what is asked by default it has a signature that tells the distances.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's banners

import tensorflow as tf

SPECIES = ["setosa", "versicolor", "virginica"]
MEANS = [[5.006, 3.428, 1.462, 0.246], [5.936, 2.77, 4.26, 1.326], [6.588, 2.974, 5.552, 2.026]]
"""Length and width of sepals and petals, in centimetres (Fisher, 1936)."""


class Nearest(tf.Module):
    """The species whose mean is nearest."""

    def __init__(self) -> None:
        super().__init__()
        self.means = tf.Variable(MEANS)
        self.species = tf.constant(SPECIES)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "flowers")])
    def distances(self, flowers):
        """Return the distance of each flower to each mean."""
        return {"distances": tf.norm(flowers[:, None, :] - self.means, axis=2)}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "flowers")])
    def classify(self, flowers):
        """Return the species of each flower."""
        nearest = tf.argmin(self.distances(flowers)["distances"], axis=1)
        return {"species": tf.gather(self.species, nearest)}


target = Path(__file__).parent / "model" / "1"
model = Nearest()
tf.saved_model.save(
    model, target, {"serving_default": model.classify, "distances": model.distances}
)
print(f"saved {target.parent.name}/{target.name}/saved_model.pb")
