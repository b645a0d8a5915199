"""gRPC as bytes: framing, status, the V2 messages and the descriptions of services. No I/O.

Inference messages are coded by hand, straight between bytes and tensors (`infer`, `contents`); the
small ones by tables (`schema`), from which reflection's descriptors are made too. Connections live
in `sampan.wire`, what a method does in `sampan.server.grpc`.
"""
