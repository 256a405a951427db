// Acts with a policy of mcnn at a fixed rate, and reports states far from what was demonstrated.
//
//   cc examples/c/act.c -I crates/mcnn-c/include -L target/release -lmcnn_c -o act
//   act POLICY STEPS HZ         (HZ 0: as fast as possible)

#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mcnn.h"

// In place of a robot's driver: numbers that change from step to step.
static void read_observation(float *observation, size_t n, unsigned step) {
    for (size_t k = 0; k < n; k++) observation[k] = (float)((step * 7 + k * 3) % 11) / 8.0f - 0.5f;
}

static void send_action(const float *action, size_t n) {
    for (size_t k = 0; k < n; k++) printf("%a ", action[k]);
}

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, mcnn_last_error());
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "usage: act POLICY STEPS HZ\n"), 2;
    const unsigned steps = (unsigned)strtoul(argv[2], NULL, 10);
    const long period = atol(argv[3]) ? 1000000000L / atol(argv[3]) : 0;

    McnnPolicy *policy = NULL;
    McnnSession *session = NULL;
    if (mcnn_policy_load(argv[1], &policy)) return failed(argv[1]);
    if (mcnn_session_new(policy, 0, &session)) return failed("session");
    const size_t n_obs = mcnn_policy_n_obs(policy), n_act = mcnn_policy_n_act(policy);
    float threshold;
    if (mcnn_policy_ood_distance(policy, 0.99, &threshold) == MCNN_STATUS_OK)
        mcnn_session_guard(session, MCNN_RESPONSE_WARN, threshold);  // reports only; MCNN_RESPONSE_STOP also sets decision.stop
    mcnn_policy_free(policy);  // the session keeps it

    float *values = malloc((n_obs + 3 * n_act) * sizeof *values);
    if (!values) return 1;
    float *observation = values, *action = values + n_obs, *low = action + n_act, *high = low + n_act;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    int status = 0;
    for (unsigned step = 0; step < steps; step++) {
        McnnDecision decision;
        read_observation(observation, n_obs, step);
        if (mcnn_session_act(session, observation, n_obs, action, n_act, &decision) ||
            mcnn_session_box(session, low, high, n_act)) {
            status = failed("act");
            break;
        }
        send_action(action, n_act);
        printf("%a %a %llu %u:%u %a %a %d\n", decision.distance, decision.weight, (unsigned long long)decision.memory,
               decision.episode, decision.step, low[0], high[0], decision.ood);
        if (decision.stop) break;
        if (period) {
            next.tv_nsec += period;
            while (next.tv_nsec >= 1000000000L) next.tv_nsec -= 1000000000L, next.tv_sec++;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        }
    }
    free(values);
    mcnn_session_free(session);
    return status;
}
