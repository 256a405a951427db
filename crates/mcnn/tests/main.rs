//! The tests of the library's public interface, in one program because each program is linked with the whole library.
//! `attacks` and `data_files` are programs of their own: they limit and measure the memory of their process.

mod action_units;
mod angles;
mod architecture;
mod chunk_promises;
mod ensemble_promises;
mod eval_coverage;
mod eval_rollout;
mod eval_stats;
mod example;
mod file_versions;
mod independence;
mod memory_gas;
mod memory_learn;
mod policy_guard;
mod policy_live;
mod policy_promises;
mod recordings;
mod robomimic_files;
mod stored_episodes;
mod task_lanes;
mod task_pusht;
mod task_racing;
mod task_robots;
mod task_worker;
mod train_keep;
mod validation_errors;
mod vision_download;
mod vision_embed;
mod vision_encoded_policy;
mod vision_encoder;
mod vision_frames;
mod vision_resnet;
mod vision_weights;
mod workers;
mod zarr_stores;
