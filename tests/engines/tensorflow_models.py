"""SavedModels and Keras files for tests, made by TensorFlow itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

V1 = tf.compat.v1


def half_plus_two(folder: Path, factor: float = 0.5) -> Path:
    """TensorFlow Serving's own first model: x / 2 + 2, for numbers and for examples."""
    with tf.Graph().as_default(), V1.Session() as session:
        slope = V1.get_variable("a", initializer=tf.constant(factor))
        offset = V1.get_variable("b", initializer=tf.constant(2.0))
        x = V1.placeholder(tf.float32, [None, 1], "x")
        y = tf.add(tf.multiply(slope, x), offset, name="y")
        serialized = V1.placeholder(tf.string, [None], "tf_example")
        parsed = V1.parse_example(
            serialized, {"x": V1.FixedLenFeature([1], tf.float32, default_value=[0.0])}
        )
        value = tf.add(tf.multiply(slope, parsed["x"]), offset, name="y_of_examples")
        labels = tf.constant([["low", "high"]])
        count = tf.shape(value)[0]
        classes = tf.tile(labels, [count, 1])
        scores = tf.concat([value, -value], axis=1)
        session.run(V1.global_variables_initializer())
        make, info = V1.saved_model.signature_def_utils, V1.saved_model.build_tensor_info
        signatures = {
            "serving_default": make.predict_signature_def({"x": x}, {"y": y}),
            "regress_x_to_y": make.build_signature_def(
                {"inputs": info(serialized)},
                {"outputs": info(value)},
                "tensorflow/serving/regress",
            ),
            "classify_x_to_y": make.build_signature_def(
                {"inputs": info(serialized)},
                {"classes": info(classes), "scores": info(scores)},
                "tensorflow/serving/classify",
            ),
        }
        builder = V1.saved_model.builder.SavedModelBuilder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()
    return folder


class Dense(tf.Module):
    """Three scores of four numbers, and a second signature of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
        self.weights = tf.Variable(weights)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
    def scores(self, x: Any) -> Any:
        return {"scores": tf.nn.softmax(tf.matmul(x, self.weights))}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, "a"),
            tf.TensorSpec([None], tf.string, "text"),
        ]
    )
    def two(self, a: Any, text: Any) -> Any:
        return {"double": a * 2, "echo_bytes": text, "length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
    def mean(self, x: Any) -> Any:
        return {"mean": tf.reduce_mean(x), "rows": x}


def dense(folder: Path, **signatures: Any) -> Path:
    """A model of TensorFlow 2 with several signatures."""
    module = Dense()
    named = signatures or {
        "serving_default": module.scores, "two": module.two, "mean": module.mean
    }  # fmt: skip
    tf.saved_model.save(module, str(folder), signatures=named)
    return folder


def vocabulary(folder: Path, words: Path) -> Path:
    """A model that looks words up in an asset."""
    module = tf.Module()
    start = tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )  # fmt: skip
    module.table = tf.lookup.StaticHashTable(start, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "word")])
    def look(word: Any) -> Any:
        return {"id": module.table.lookup(word)}

    module.look = look
    tf.saved_model.save(module, str(folder), signatures={"serving_default": look})
    return folder


def program(folder: Path, body: Any, dtype: Any = tf.string) -> Path:
    """A SavedModel whose one function is `body` of one input."""
    module = tf.Module()
    module.run = tf.function(body, input_signature=[tf.TensorSpec([None], dtype, "x")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.run})
    return folder


def keras_model(path: Path, *layers: Any) -> Path:
    """A Keras file of dense layers, or of these."""
    import keras

    keras.utils.set_random_seed(0)
    made = layers or (keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3))
    model = keras.Sequential([keras.Input((4,), name="x"), *made])
    model.save(str(path))
    return path
