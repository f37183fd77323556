"""Which keys of a config.json leave the structure of a model alone?

They do not change which matrices a layer has, how wide they are, or what they do with one another:
numerics, training, generation, tokens, positions.
"""

import re

# Ends of keys, after an underscore.
_ENDS = """
alpha backend beta bias_update clip clipping coef coefficient dropout dropout_prob dtype eps
epsilon factor file floor freq_base impl implementation init jitter_noise limit log_max log_min
loss loss_factor max min multiplier multipliers name noise norm offset padding_idx path pdrop
penalty range scale scaling scaling_factor seed softcap softcapping std temperature theta
threshold token token_id token_ids token_idx token_index version
"""

# Beginnings of keys.
_STARTS = """
_ activation_situ attention_dropout attn_imp audio_ aux_ bad_words begin_ boa_ boi_
chunk_size_feed clip_qkv cross_attention_hidden decoder_start diversity do_sample dt_
dual_chunk early_stop encoder_no_repeat eoa_ eoi_ expert_group exponential finetuning forced_
freeze_ global_rope hash_ hc_eps hc_magnitude hc_sinkhorn id2label ignore_index image_
indexer_rope initializer interp is_decoder kda_lower kda_safe label2id language_model_only
language_only length_ linear_a_log linear_allow linear_dt local_rope log_scaling logits?_
longrope max_length media_ min_length mm_ moe_enable_ moe_routed moe_router_ mrope mtp_
multimodal_projector mup no_repeat no_rope ntk num_beam num_return original_max_position
output_ partial_rotary problem_type projector pruned qk_scale rel_ remove_invalid repetition
residual_gate rope rotary router_aux scale_ score sep_token spatial_ suppress swa_rope swa_sink
task_spec tf_ time_step tokenizer topk_scal torch transformers typical unk_ use_bfloat16
use_cache use_dynamic_ use_embedding use_fp32_ use_rope use_sliding_win use_unified video_
vision_ yarn z_loss
"""

# Whole keys.
_WHOLE = """
add_cross_attention add_full_attention_sink_bias add_swa_attention_sink_bias alibi
apply_residual_connection_post_layernorm architectures attn_dropout attn_logit_softcapping
audio_config auto_map bias_u block_auto_adjust_ff_dim block_ffn_dim_multiplier
block_multiple_of block_size bos compression_config decoder_start_token downsample_ratio dtype
emb_pdrop embedding_multiplier enable_moe_fp32_combine ep_size expert_selection_fn
extra_special_tokens full_attn_alpha_factor full_attn_beta_factor gating_type generation_config
gradient_checkpointing index_share_for_mtp_iteration index_skip_topk_offset index_topk_freq
initial_context_length internal_version is_causal is_encoder_decoder key_multiplier key_scale
latent_moe_use_norm layer_norm_type layernorm_compute_in_fp32 layernorm_epsilon
lm_head_multiplier logit_scale mask_token_id max_grid_size max_window_layers merged_hidden_size
mla_use_nope mlp_only model_type moe_dropout moe_norm_min moe_renormalize
moe_shared_expert_overlap n_group need_fp32_gate new_decoder_architecture norm_eps norm_topk
norm_topk_prob norm_type num_expert_group num_hash_layers num_image_tokens num_logits_to_keep
number_of_conv_states out_hidden_size pad parallel_attn position_embedding_type prefix
prefix_dense_sliding_window_pattern pretraining_tp ptm qk_norm qk_norm_type quantization_config
query_pre_attn_scalar rescale_prenorm_residual resid_pdrop residual_in_fp32 residual_multiplier
return_dict return_dict_in_generate rms_norm rms_norm_eps route_scale routed_scaling_factor
scoring_func seq_aux shared_expert_combination_strategy shared_expert_sink
sliding_window_pattern special_tokens_map temperature tensor_parallel text_config text_model
tie_encoder_decoder top_k top_p topk_group topk_method use_associative_scan
use_bidirectional_attention use_gemma_norm use_grouped_topk use_logn_attn use_mamba_kernels
use_mla use_moe_router_bias use_mtp use_parallel_residual use_qkv_norm use_return_dict
use_routing_bias use_sandwich_norm vision_config vocab_file vocab_size_per_layer_input
"""


def _any(words: str) -> str:
    return "|".join(re.escape(word) for word in words.split())


HARMLESS = re.compile(rf".*_({_any(_ENDS)})|({_any(_STARTS)}).*|{_any(_WHOLE)}")
