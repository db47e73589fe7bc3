/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last member of each public struct at its first release, written once with the struct and never
 * changed: a struct that grew still takes what hosts of the first release pass. docs/abi.md.
 */
#ifndef QB_CORE_OLDEST_MEMBERS_H
#define QB_CORE_OLDEST_MEMBERS_H

#define QB__OLDEST_SIZE(type)                                                                      \
  (offsetof(type, QB__OLDEST_##type) + sizeof(((type *)0)->QB__OLDEST_##type))

/* 0.1 */
#define QB__OLDEST_qb_accuracy            high
#define QB__OLDEST_qb_agreement           high
#define QB__OLDEST_qb_catalogue_info      note
#define QB__OLDEST_qb_context_params      memory_limit_bytes
#define QB__OLDEST_qb_coverage            width
#define QB__OLDEST_qb_decision            coverage
#define QB__OLDEST_qb_job                 samples
#define QB__OLDEST_qb_job_plan            untried
#define QB__OLDEST_qb_latency_estimate    speed_slope
#define QB__OLDEST_qb_load                burst_ns
#define QB__OLDEST_qb_measurements_params name
#define QB__OLDEST_qb_mitigation          text
#define QB__OLDEST_qb_model_info          activation_bytes_per_sample
#define QB__OLDEST_qb_node_info           reserve_cores
#define QB__OLDEST_qb_node_params         reserve_cores
#define QB__OLDEST_qb_node_type           compute_int8_flops_per_s
#define QB__OLDEST_qb_operator_info       can_saturate
#define QB__OLDEST_qb_operator_time       implementation
#define QB__OLDEST_qb_optimizer_params    network
#define QB__OLDEST_qb_place_node          ready_ns
#define QB__OLDEST_qb_placement           max_rate_per_s
#define QB__OLDEST_qb_profile_info        least_flops_per_sample
#define QB__OLDEST_qb_profile_params      precision_count
#define QB__OLDEST_qb_profile_point       thread_flops_per_s
#define QB__OLDEST_qb_progress            elapsed_ns
#define QB__OLDEST_qb_qos                 reserve_cores
#define QB__OLDEST_qb_quantization        holds
#define QB__OLDEST_qb_quantize_params     portable
#define QB__OLDEST_qb_quantized_layer     can_saturate
#define QB__OLDEST_qb_round_result        latency_ns
#define QB__OLDEST_qb_round_state         arrived
#define QB__OLDEST_qb_service_plan        untried
#define QB__OLDEST_qb_session_info        as_profiled
#define QB__OLDEST_qb_share               max_wait_ns
#define QB__OLDEST_qb_simulation          seed
#define QB__OLDEST_qb_simulation_report   batch
#define QB__OLDEST_qb_tensor_info         elements_per_sample
#define QB__OLDEST_qb_traffic             time_count
#define QB__OLDEST_qb_verification        bound_ns
#define QB__OLDEST_qb_where               isa
#define QB__OLDEST_qb_workload            instance_sample_bytes

#endif
