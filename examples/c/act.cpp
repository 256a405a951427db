// Acts with a policy of mcnn that is in memory, in C++.
//
//   c++ examples/c/act.cpp -I crates/mcnn-c/include target/release/libmcnn_c.a -lpthread -ldl -lm -o act
//   act POLICY STEPS

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "mcnn.h"

namespace {

void check(McnnStatus status) {
    if (status != MCNN_STATUS_OK) throw std::runtime_error(mcnn_last_error());
}

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T *pointer) const {
        Free(pointer);
    }
};
using Policy = std::unique_ptr<McnnPolicy, Deleter<mcnn_policy_free>>;
using Session = std::unique_ptr<McnnSession, Deleter<mcnn_session_free>>;

Policy load(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + " cannot be opened");
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    McnnPolicy *policy = nullptr;
    check(mcnn_policy_from_bytes(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), &policy));
    return Policy(policy);
}

Session start(const Policy &policy, uint64_t seed) {
    McnnSession *session = nullptr;
    check(mcnn_session_new(policy.get(), seed, &session));
    return Session(session);
}

}  // namespace

int main(int argc, char **argv) try {
    if (argc != 3) return std::fprintf(stderr, "usage: act POLICY STEPS\n"), 2;
    const Policy policy = load(argv[1]);
    const Session session = start(policy, 0);
    std::vector<float> observation(mcnn_policy_n_obs(policy.get())), action(mcnn_policy_n_act(policy.get()));
    for (unsigned step = 0; step < std::stoul(argv[2]); step++) {
        for (size_t k = 0; k < observation.size(); k++)
            observation[k] = static_cast<float>((step * 7 + k * 3) % 11) / 8.0f - 0.5f;
        McnnDecision decision;
        check(mcnn_session_act(session.get(), observation.data(), observation.size(), action.data(), action.size(), &decision));
        for (const float value : action) std::printf("%a ", value);
        std::printf("%a %a %llu %u:%u\n", decision.distance, decision.weight,
                    static_cast<unsigned long long>(decision.memory), decision.episode, decision.step);
    }
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
