// Policies of mcnn in C and C++: load, act, explain. Made by cbindgen from crates/mcnn-c; do not edit.
//
// Every function that can fail returns a status, 0 for success; any other leaves an error text for mcnn_last_error. A policy never changes and
// can be used by several threads at once. A session is one episode, and one thread at a time may use it. After its first action a session
// takes no lock, and allocates nothing unless a call fails.

#ifndef MCNN_H
#define MCNN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// The result of a call. Every value but MCNN_STATUS_OK leaves a text for mcnn_last_error.
typedef enum McnnStatus {
  // Done.
  MCNN_STATUS_OK = 0,
  // A null pointer, or an array of another length than the policy's.
  MCNN_STATUS_ARGUMENT = 1,
  // Values that are not valid, such as a NaN in an observation.
  MCNN_STATUS_DATA = 2,
  // A setting out of range, or one that the policy does not have.
  MCNN_STATUS_SETTINGS = 3,
  // Parts that do not fit together.
  MCNN_STATUS_MISMATCH = 4,
  // A file that cannot be read or is not a policy.
  MCNN_STATUS_FILE = 5,
  // An error inside the library. A session it happened in cannot be used any more.
  MCNN_STATUS_INTERNAL = 6,
} McnnStatus;

// What a guard does in a state farther from all memories than its threshold.
typedef enum McnnResponse {
  // Sets `ood` alone.
  MCNN_RESPONSE_WARN = 0,
  // Repeats the last action taken in a nearer state.
  MCNN_RESPONSE_HOLD = 1,
  // Takes the nearest memory's action.
  MCNN_RESPONSE_MEMORY = 2,
  // Takes it, and sets `stop`.
  MCNN_RESPONSE_STOP = 3,
} McnnResponse;

// A policy. It never changes.
typedef struct McnnPolicy McnnPolicy;

// One episode of a policy.
typedef struct McnnSession McnnSession;

// How an action came about.
typedef struct McnnDecision {
  // The distance to the nearest memory, in standardized units.
  float distance;
  // The weight of the memory, exp(-lambda distance), from 0 to 1.
  float weight;
  // Half the width of the box around the memory's action that every action lies in, of actions in [-1, 1].
  float radius;
  // The share of calibration states that are nearer to their memories; NaN without a calibration.
  float quantile;
  // The disagreement of an ensemble's networks; NaN for one network.
  float member_std;
  // The number of the nearest memory.
  uint64_t memory;
  // The demonstrated episode of the memory.
  uint32_t episode;
  // The step in that episode.
  uint32_t step;
  // The number of the action in its chunk; 0 for policies that predict one action at a time.
  uint32_t chunk_step;
  // Whether the observation is out of distribution according to the guard.
  bool ood;
  // Whether the guard asks to stop before the action is taken.
  bool stop;
} McnnDecision;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// What went wrong in the last call of this thread that failed, in one line of UTF-8; empty before the first. The text is valid until the next
// call of this thread that fails, or until the thread ends.
const char *mcnn_last_error(void);

// The version of the library, such as "0.1.0".
const char *mcnn_version(void);

// Reads a policy from a file of `mcnn train`. Writes it to `policy`, which mcnn_policy_free frees; NULL if it fails.
//
// # Safety
// `path` is NULL or a string that ends with a zero; `policy` is NULL or can be written.
enum McnnStatus mcnn_policy_load(const char *path,
                                 struct McnnPolicy **policy);

// Reads a policy from the bytes of such a file. The bytes are not used afterwards.
//
// # Safety
// `bytes` is NULL or has `length` bytes; `policy` is NULL or can be written.
enum McnnStatus mcnn_policy_from_bytes(const uint8_t *bytes, size_t length, struct McnnPolicy **policy);

// Frees a policy; NULL is allowed. Its sessions stay valid.
//
// # Safety
// `policy` is NULL or of this library, and not freed yet.
void mcnn_policy_free(struct McnnPolicy *policy);

// The number of values of an observation; 0 for NULL.
//
// # Safety
// `policy` is NULL or a policy.
size_t mcnn_policy_n_obs(const struct McnnPolicy *policy);

// The number of values of an action; 0 for NULL.
//
// # Safety
// `policy` is NULL or a policy.
size_t mcnn_policy_n_act(const struct McnnPolicy *policy);

// Writes the distance to the nearest memory below which a share of the calibration states are: a threshold for mcnn_session_guard. `quantile`:
// above 0, at most 1, such as 0.99. An error if the policy has no calibration.
//
// # Safety
// `policy` is NULL or a policy; `distance` is NULL or can be written.
enum McnnStatus mcnn_policy_ood_distance(const struct McnnPolicy *policy,
                                         double quantile,
                                         float *distance);

// Starts an episode. Equal seeds give equal actions for equal observations. Writes the session to `session`, which mcnn_session_free frees; NULL if
// it fails. The policy may be freed before its sessions.
//
// # Safety
// `policy` is NULL or a policy; `session` is NULL or can be written.
enum McnnStatus mcnn_session_new(const struct McnnPolicy *policy,
                                 uint64_t seed,
                                 struct McnnSession **session);

// Frees a session; NULL is allowed.
//
// # Safety
// `session` is NULL or of this library, and not freed yet.
void mcnn_session_free(struct McnnSession *session);

// Guards the episode from its next action on: a state whose distance to the nearest memory is above `threshold` (0 or more) is out of
// distribution. `response` is one of McnnResponse.
//
// # Safety
// `session` is NULL or a session that no other thread uses.
enum McnnStatus mcnn_session_guard(struct McnnSession *session,
                                   uint32_t response,
                                   float threshold);

// Writes the action for an observation, both in the units of the demonstrations, and, unless it is NULL, how the action came about. If it fails,
// neither is written and, except after MCNN_STATUS_INTERNAL, the episode goes on as if the call had not been made.
//
// # Safety
// `session` is NULL or a session that no other thread uses; `observation` is NULL or has `n_obs` values; `action` is NULL or has room for `n_act`;
// `decision` is NULL or can be written. They do not overlap.
enum McnnStatus mcnn_session_act(struct McnnSession *session,
                                 const float *observation,
                                 size_t n_obs,
                                 float *action,
                                 size_t n_act,
                                 struct McnnDecision *decision);

// Writes the box that the last action lies in, lower and upper bound by dimension, in the units of the demonstrations. A guard with
// MCNN_RESPONSE_HOLD may repeat an action outside it. An error before the first action.
//
// # Safety
// `session` is NULL or a session that no other thread uses; `low` and `high` are NULL or have room for `n_act` values, and do not overlap.
enum McnnStatus mcnn_session_box(const struct McnnSession *session,
                                 float *low,
                                 float *high,
                                 size_t n_act);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MCNN_H */
