"""One model server against its peers: rates, tails, health, workers, memory and size.

The same model on all sides, default flags but the ports, peers in environments of their own, sides
in turn, medians of the rounds. Everything counts that a default start has on: validation, request
ids, metrics, batching. Peers are KServe 0.21.0 (its SDK's server) and MLServer 1.7.1.
"""

from __future__ import annotations

from bench.server_rows import grpc, health, installing, rest, tensor, workers

benches = {
    "V1 kserve": rest.v1_kserve,
    "V1 one connection": rest.one_connection,
    "V2 kserve": rest.v2_kserve,
    "V2 mlserver": rest.v2_mlserver,
    "gRPC kserve": grpc.kserve,
    "gRPC mlserver": grpc.mlserver,
    "no-op": rest.no_op,
    "tensor JSON": tensor.as_json,
    "tensor binary": tensor.as_binary,
    "health": health.while_predicting,
    "workers": workers.rates,
    "memory": workers.memory,
    "size": installing.core,
}
