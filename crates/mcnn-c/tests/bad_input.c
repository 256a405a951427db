// Calls with null pointers, wrong lengths and damaged bytes: each is an error with a text, and nothing is lost or read out of bounds.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mcnn.h"

static int failures = 0;

static void expect(McnnStatus found, McnnStatus expected, const char *text, int line) {
    const char *error = mcnn_last_error();
    if (found != expected || (expected != MCNN_STATUS_OK && !strstr(error, text))) {
        printf("line %d: status %d, expected %d with \"%s\": %s\n", line, found, expected, text, error);
        failures++;
    }
}
#define EXPECT(call, status, text) expect(call, status, text, __LINE__)

int main(int argc, char **argv) {
    if (argc != 2 || strlen(mcnn_last_error()) || !strlen(mcnn_version())) return 2;
    FILE *file = fopen(argv[1], "rb");
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    const size_t length = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(length);
    if (!bytes || fread(bytes, 1, length, file) != length) return 2;
    fclose(file);

    McnnPolicy *policy = (McnnPolicy *)bytes;  // overwritten by NULL where a call fails
    EXPECT(mcnn_policy_load(NULL, &policy), MCNN_STATUS_ARGUMENT, "path is NULL");
    if (policy) return 3;
    EXPECT(mcnn_policy_load("/no/such/policy", &policy), MCNN_STATUS_FILE, "/no/such/policy");
    EXPECT(mcnn_policy_load("\xff\xfe", &policy), MCNN_STATUS_ARGUMENT, "UTF-8");
    EXPECT(mcnn_policy_load(argv[1], NULL), MCNN_STATUS_ARGUMENT, "policy is NULL");
    EXPECT(mcnn_policy_from_bytes(NULL, 9, &policy), MCNN_STATUS_ARGUMENT, "bytes is NULL");
    EXPECT(mcnn_policy_from_bytes(bytes, (size_t)-1, &policy), MCNN_STATUS_ARGUMENT, "address space");
    for (size_t cut = 0; cut < length; cut += 1 + length / 200)
        EXPECT(mcnn_policy_from_bytes(bytes, cut, &policy), MCNN_STATUS_FILE, "");
    for (size_t k = 0; k < 200; k++) {  // flipped bits: an error or another policy
        uint8_t *damaged = malloc(length);
        if (!damaged) return 2;
        memcpy(damaged, bytes, length);
        damaged[(k * 7919) % length] ^= (uint8_t)(1u << k % 8);
        McnnPolicy *other = NULL;
        if ((mcnn_policy_from_bytes(damaged, length, &other) == MCNN_STATUS_OK) != (other != NULL)) failures++;
        mcnn_policy_free(other);
        free(damaged);
    }
    EXPECT(mcnn_policy_from_bytes(bytes, length, &policy), MCNN_STATUS_OK, "");
    free(bytes);
    const size_t n_obs = mcnn_policy_n_obs(policy), n_act = mcnn_policy_n_act(policy);
    if (n_obs != 4 || n_act != 2 || mcnn_policy_n_obs(NULL) || mcnn_policy_n_act(NULL)) return 3;

    float distance;
    EXPECT(mcnn_policy_ood_distance(policy, 2.0, &distance), MCNN_STATUS_SETTINGS, "2");
    EXPECT(mcnn_policy_ood_distance(policy, 0.9, NULL), MCNN_STATUS_ARGUMENT, "distance is NULL");
    EXPECT(mcnn_policy_ood_distance(policy, 0.9, &distance), MCNN_STATUS_OK, "");
    McnnSession *session = NULL;
    EXPECT(mcnn_session_new(NULL, 0, &session), MCNN_STATUS_ARGUMENT, "policy is NULL");
    EXPECT(mcnn_session_new(policy, 0, NULL), MCNN_STATUS_ARGUMENT, "session is NULL");
    EXPECT(mcnn_session_new(policy, 0, &session), MCNN_STATUS_OK, "");
    mcnn_policy_free(policy);
    mcnn_policy_free(NULL);
    mcnn_session_free(NULL);

    float observation[4] = {0.1f, 0.2f, 0.3f, 0.4f}, action[2] = {9.0f, 9.0f}, low[2], high[2];
    McnnDecision decision;
    EXPECT(mcnn_session_box(session, low, high, 2), MCNN_STATUS_ARGUMENT, "not acted");
    EXPECT(mcnn_session_act(NULL, observation, 4, action, 2, NULL), MCNN_STATUS_ARGUMENT, "session is NULL");
    EXPECT(mcnn_session_act(session, NULL, 4, action, 2, NULL), MCNN_STATUS_ARGUMENT, "observation is NULL");
    EXPECT(mcnn_session_act(session, observation, 4, NULL, 2, NULL), MCNN_STATUS_ARGUMENT, "action is NULL");
    EXPECT(mcnn_session_act(session, observation, 3, action, 2, NULL), MCNN_STATUS_ARGUMENT, "3 values, and the policy's has 4");
    EXPECT(mcnn_session_act(session, observation, 4, action, 1, NULL), MCNN_STATUS_ARGUMENT, "1 values, and the policy's has 2");
    observation[1] = NAN;
    EXPECT(mcnn_session_act(session, observation, 4, action, 2, NULL), MCNN_STATUS_DATA, "dimension 1");
    observation[1] = INFINITY;
    EXPECT(mcnn_session_act(session, observation, 4, action, 2, NULL), MCNN_STATUS_DATA, "inf");
    if (action[0] != 9.0f) return 3;
    observation[1] = 0.2f;
    EXPECT(mcnn_session_act(session, observation, 4, action, 2, NULL), MCNN_STATUS_OK, "");
    EXPECT(mcnn_session_box(session, low, high, 2), MCNN_STATUS_OK, "");
    EXPECT(mcnn_session_box(session, low, high, 3), MCNN_STATUS_ARGUMENT, "3 values");
    EXPECT(mcnn_session_box(session, low, NULL, 2), MCNN_STATUS_ARGUMENT, "high is NULL");
    for (int k = 0; k < 2; k++)
        if (!(low[k] <= action[k] && action[k] <= high[k])) return 3;
    EXPECT(mcnn_session_guard(session, 7, 1.0f), MCNN_STATUS_ARGUMENT, "7 is no response");
    EXPECT(mcnn_session_guard(session, MCNN_RESPONSE_STOP, NAN), MCNN_STATUS_SETTINGS, "NaN");
    EXPECT(mcnn_session_guard(session, MCNN_RESPONSE_STOP, 0.0f), MCNN_STATUS_OK, "");
    observation[1] = 1e6f;
    EXPECT(mcnn_session_act(session, observation, 4, action, 2, &decision), MCNN_STATUS_OK, "");
    if (!decision.ood || !decision.stop || decision.quantile != 1.0f) return 3;
    mcnn_session_free(session);
    return failures != 0;
}
