"""TensorFlow: SavedModels and Keras files, and TensorFlow Serving's own REST and gRPC over them.

TensorFlow itself is imported when a model loads. Its messages are read by tables of our own
(`schema`, `tensor_proto`): TensorFlow Serving's Python package would bring TensorFlow a second
time.
"""
