"""The golden model: bit-true stochastic arithmetic, its bounds, and the manifest."""

from model.adaptive_precision import AdaptivePrecisionManager
from model.bitstream_encoder import BitstreamEncoder
from model.length_planner import assign_lengths
from model.precision import (
    LayerPrecision,
    PrecisionPlan,
    PrecisionWarning,
    SynapsePrecision,
    precision_plan_manifest,
)
from model.pruning import (
    Projection,
    PruningReport,
    RemovedNeuron,
    prune_neurons,
    prune_stochastic,
    prune_weights,
)
from model.quantise import QuantizationReport, quantize_delays, quantize_weights
from model.sensitivity import analyze_sensitivity
from model.synapse_precision import assign_synapse_precisions
from model.vectorized_layer import VectorizedSCLayer

__all__ = [
    "AdaptivePrecisionManager",
    "BitstreamEncoder",
    "LayerPrecision",
    "PrecisionPlan",
    "PrecisionWarning",
    "Projection",
    "PruningReport",
    "QuantizationReport",
    "RemovedNeuron",
    "SynapsePrecision",
    "VectorizedSCLayer",
    "analyze_sensitivity",
    "assign_lengths",
    "assign_synapse_precisions",
    "precision_plan_manifest",
    "prune_neurons",
    "prune_stochastic",
    "prune_weights",
    "quantize_delays",
    "quantize_weights",
]
