/* See policy.h. */
#include "policy.h"

extern const float policy_stand_in_weights[4];

uint32_t policy_selftest(void) {
    const float *w = policy_stand_in_weights;
    const float found = w[0] + w[1] + w[2] + w[3];
    return found > 462.4f && found < 462.6f ? 0u : 1u;
}
