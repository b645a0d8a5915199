"""The messages of `config.pbtxt` and of Triton's gRPC extensions, as tables. Names and numbers are
the interface (Triton, `model_config.proto` and `grpc_service.proto`).

A field is `name:number:kind`, `*` after it where it repeats; `{kind}` is a map from text. A kind
that starts with a capital is a message, or an enum where `ENUMS` has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

_CONFIG = {
    "ModelRateLimiter": "resources:1:ModelRateLimiter.Resource* priority:2:uint32",
    "ModelRateLimiter.Resource": "name:1:string global:2:bool count:3:uint32",
    "ModelInstanceGroup": "name:1:string kind:4:ModelInstanceGroup.Kind count:2:int32 "
    "rate_limiter:6:ModelRateLimiter gpus:3:int32* profile:5:string* passive:7:bool "
    "secondary_devices:8:ModelInstanceGroup.SecondaryDevice* host_policy:9:string",
    "ModelInstanceGroup.SecondaryDevice": "kind:1:ModelInstanceGroup.SecondaryDevice."
    "SecondaryDeviceKind device_id:2:int64",
    "ModelTensorReshape": "shape:1:int64*",
    "ModelInput": "name:1:string data_type:2:DataType format:3:ModelInput.Format dims:4:int64* "
    "reshape:5:ModelTensorReshape is_shape_tensor:6:bool allow_ragged_batch:7:bool "
    "optional:8:bool is_non_linear_format_io:9:bool",
    "ModelOutput": "name:1:string data_type:2:DataType dims:3:int64* reshape:5:ModelTensorReshape "
    "label_filename:4:string is_shape_tensor:6:bool is_non_linear_format_io:7:bool",
    "BatchInput": "kind:1:BatchInput.Kind target_name:2:string* data_type:3:DataType "
    "source_input:4:string*",
    "BatchOutput": "target_name:1:string* kind:2:BatchOutput.Kind source_input:3:string*",
    "ModelVersionPolicy": "latest:1:ModelVersionPolicy.Latest all:2:ModelVersionPolicy.All "
    "specific:3:ModelVersionPolicy.Specific",
    "ModelVersionPolicy.Latest": "num_versions:1:uint32",
    "ModelVersionPolicy.All": "",
    "ModelVersionPolicy.Specific": "versions:1:int64*",
    "ModelOptimizationPolicy": "graph:1:ModelOptimizationPolicy.Graph "
    "priority:2:ModelOptimizationPolicy.ModelPriority cuda:3:ModelOptimizationPolicy.Cuda "
    "execution_accelerators:4:ModelOptimizationPolicy.ExecutionAccelerators "
    "input_pinned_memory:5:ModelOptimizationPolicy.PinnedMemoryBuffer "
    "output_pinned_memory:6:ModelOptimizationPolicy.PinnedMemoryBuffer "
    "gather_kernel_buffer_threshold:7:uint32 eager_batching:8:bool",
    "ModelOptimizationPolicy.Graph": "level:1:int32",
    "ModelOptimizationPolicy.Cuda": "graphs:1:bool busy_wait_events:2:bool "
    "graph_spec:3:ModelOptimizationPolicy.Cuda.GraphSpec* output_copy_stream:4:bool",
    "ModelOptimizationPolicy.Cuda.GraphSpec": "batch_size:1:int32 "
    "input:2:{ModelOptimizationPolicy.Cuda.GraphSpec.Shape} "
    "graph_lower_bound:3:ModelOptimizationPolicy.Cuda.GraphSpec.LowerBound",
    "ModelOptimizationPolicy.Cuda.GraphSpec.Shape": "dim:1:int64*",
    "ModelOptimizationPolicy.Cuda.GraphSpec.LowerBound": "batch_size:1:int32 "
    "input:2:{ModelOptimizationPolicy.Cuda.GraphSpec.Shape}",
    "ModelOptimizationPolicy.ExecutionAccelerators": "gpu_execution_accelerator:1:"
    "ModelOptimizationPolicy.ExecutionAccelerators.Accelerator* cpu_execution_accelerator:2:"
    "ModelOptimizationPolicy.ExecutionAccelerators.Accelerator*",
    "ModelOptimizationPolicy.ExecutionAccelerators.Accelerator": "name:1:string "
    "parameters:2:{string}",
    "ModelOptimizationPolicy.PinnedMemoryBuffer": "enable:1:bool",
    "ModelQueuePolicy": "timeout_action:1:ModelQueuePolicy.TimeoutAction "
    "default_timeout_microseconds:2:uint64 allow_timeout_override:3:bool max_queue_size:4:uint32",
    "ModelDynamicBatching": "preferred_batch_size:1:int32* max_queue_delay_microseconds:2:uint64 "
    "preserve_ordering:3:bool priority_levels:4:uint64 default_priority_level:5:uint64 "
    "default_queue_policy:6:ModelQueuePolicy "
    "priority_queue_policy:7:ModelDynamicBatching.PriorityQueuePolicyEntry*",
    "ModelDynamicBatching.PriorityQueuePolicyEntry": "key:1:uint64 value:2:ModelQueuePolicy",
    "ModelSequenceBatching": "direct:3:ModelSequenceBatching.StrategyDirect "
    "oldest:4:ModelSequenceBatching.StrategyOldest max_sequence_idle_microseconds:1:uint64 "
    "control_input:2:ModelSequenceBatching.ControlInput* state:5:ModelSequenceBatching.State* "
    "iterative_sequence:6:bool",
    "ModelSequenceBatching.State": "input_name:1:string output_name:2:string data_type:3:DataType "
    "dims:4:int64* initial_state:5:ModelSequenceBatching.InitialState* "
    "use_same_buffer_for_input_output:6:bool use_growable_memory:7:bool",
    "ModelSequenceBatching.InitialState": "data_type:1:DataType dims:2:int64* zero_data:3:bool "
    "data_file:4:string name:5:string",
    "ModelSequenceBatching.Control": "kind:1:ModelSequenceBatching.Control.Kind "
    "int32_false_true:2:int32* fp32_false_true:3:float* bool_false_true:5:bool* "
    "data_type:4:DataType",
    "ModelSequenceBatching.ControlInput": "name:1:string control:2:ModelSequenceBatching.Control*",
    "ModelSequenceBatching.StrategyDirect": "max_queue_delay_microseconds:1:uint64 "
    "minimum_slot_utilization:2:float",
    "ModelSequenceBatching.StrategyOldest": "max_candidate_sequences:1:int32 "
    "preferred_batch_size:2:int32* max_queue_delay_microseconds:3:uint64 preserve_ordering:4:bool",
    "ModelEnsembling": "step:1:ModelEnsembling.Step* max_inflight_requests:2:uint32",
    "ModelEnsembling.Step": "model_name:1:string model_version:2:int64 input_map:3:{string} "
    "output_map:4:{string} model_namespace:5:string",
    "ModelParameter": "string_value:1:string",
    "ModelWarmup": "name:1:string batch_size:2:uint32 inputs:3:{ModelWarmup.Input} count:4:uint32",
    "ModelWarmup.Input": "data_type:1:DataType dims:2:int64* zero_data:3:bool random_data:4:bool "
    "input_data_file:5:string",
    "ModelOperations": "op_library_filename:1:string*",
    "ModelTransactionPolicy": "decoupled:1:bool",
    "ModelRepositoryAgents": "agents:1:ModelRepositoryAgents.Agent*",
    "ModelRepositoryAgents.Agent": "name:1:string parameters:2:{string}",
    "ModelResponseCache": "enable:1:bool",
    "ModelConfig": "name:1:string platform:2:string backend:17:string runtime:25:string "
    "version_policy:3:ModelVersionPolicy max_batch_size:4:int32 input:5:ModelInput* "
    "output:6:ModelOutput* batch_input:20:BatchInput* batch_output:21:BatchOutput* "
    "optimization:12:ModelOptimizationPolicy dynamic_batching:11:ModelDynamicBatching "
    "sequence_batching:13:ModelSequenceBatching ensemble_scheduling:15:ModelEnsembling "
    "instance_group:7:ModelInstanceGroup* default_model_filename:8:string "
    "cc_model_filenames:9:{string} metric_tags:10:{string} parameters:14:{ModelParameter} "
    "model_warmup:16:ModelWarmup* model_operations:18:ModelOperations "
    "model_transaction_policy:19:ModelTransactionPolicy "
    "model_repository_agents:23:ModelRepositoryAgents response_cache:24:ModelResponseCache "
    "model_metrics:26:ModelMetrics",
    "ModelMetrics": "metric_control:1:ModelMetrics.MetricControl*",
    "ModelMetrics.MetricControl": "metric_identifier:1:ModelMetrics.MetricControl.MetricIdentifier "
    "histogram_options:2:ModelMetrics.MetricControl.HistogramOptions",
    "ModelMetrics.MetricControl.MetricIdentifier": "family:1:string",
    "ModelMetrics.MetricControl.HistogramOptions": "buckets:1:double*",
}
_SERVICE = {
    "ModelConfigRequest": "name:1:string version:2:string",
    "ModelConfigResponse": "config:1:ModelConfig",
    "ModelStatisticsRequest": "name:1:string version:2:string",
    "StatisticDuration": "count:1:uint64 ns:2:uint64",
    "InferStatistics": "success:1:StatisticDuration fail:2:StatisticDuration "
    "queue:3:StatisticDuration compute_input:4:StatisticDuration compute_infer:5:StatisticDuration "
    "compute_output:6:StatisticDuration cache_hit:7:StatisticDuration "
    "cache_miss:8:StatisticDuration",
    "InferBatchStatistics": "batch_size:1:uint64 compute_input:2:StatisticDuration "
    "compute_infer:3:StatisticDuration compute_output:4:StatisticDuration",
    "ModelStatistics": "name:1:string version:2:string last_inference:3:uint64 "
    "inference_count:4:uint64 execution_count:5:uint64 inference_stats:6:InferStatistics "
    "batch_stats:7:InferBatchStatistics*",
    "ModelStatisticsResponse": "model_stats:1:ModelStatistics*",
    "RepositoryParameter": "bool_param:1:bool int64_param:2:int64 string_param:3:string "
    "bytes_param:4:bytes",
    "RepositoryRequest": "repository_name:1:string model_name:2:string "
    "parameters:3:{RepositoryParameter}",
    "SharedMemoryName": "name:1:string",
    "SharedMemoryRegion": "name:1:string key:2:string offset:3:uint64 byte_size:4:uint64",
    "SharedMemoryStatus": "regions:1:{SharedMemoryRegion}",
    "Empty": "",
}

ENUMS = {
    "DataType": tuple(
        f"TYPE_{name}"
        for name in (
            "INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32",
            "INT64", "FP16", "FP32", "FP64", "STRING", "BF16",
        )
    ),
    "ModelInput.Format": ("FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"),
    "ModelInstanceGroup.Kind": ("KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"),
    "ModelInstanceGroup.SecondaryDevice.SecondaryDeviceKind": ("KIND_NVDLA",),
    "BatchInput.Kind": (
        "BATCH_ELEMENT_COUNT", "BATCH_ACCUMULATED_ELEMENT_COUNT",
        "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE",
        "BATCH_ITEM_SHAPE", "BATCH_ITEM_SHAPE_FLATTEN",
    ),
    "BatchOutput.Kind": ("BATCH_SCATTER_WITH_INPUT_SHAPE",),
    "ModelOptimizationPolicy.ModelPriority": (
        "PRIORITY_DEFAULT", "PRIORITY_MAX", "PRIORITY_MIN",
    ),
    "ModelQueuePolicy.TimeoutAction": ("REJECT", "DELAY"),
    "ModelSequenceBatching.Control.Kind": (
        "CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_READY", "CONTROL_SEQUENCE_END",
        "CONTROL_SEQUENCE_CORRID",
    ),
}  # fmt: skip
"""The names of each enum's values, in the order of their numbers."""

WHOLE = frozenset({"int32", "int64", "uint32", "uint64"})


class Field(NamedTuple):
    """A field of a message. `mapped`: a map from text to `kind`."""

    name: str
    number: int
    kind: str
    repeated: bool
    mapped: bool


def _fields(text: str) -> Iterator[Field]:
    for word in text.split():
        name, number, kind = word.split(":")
        mapped, repeated = kind.startswith("{"), kind.endswith("*")
        yield Field(name, int(number), kind.strip("{}*"), repeated, mapped)


Tables: TypeAlias = "Mapping[str, Mapping[str, Field]]"
"""The fields of messages by message and name."""


def make_tables(texts: Mapping[str, str]) -> dict[str, dict[str, Field]]:
    """Return the tables that texts of the form above stand for."""
    return {name: {field.name: field for field in _fields(text)} for name, text in texts.items()}


MESSAGES = make_tables({**_CONFIG, **_SERVICE})
"""The fields of each message by name."""

ROOT = "ModelConfig"
