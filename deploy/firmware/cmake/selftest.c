/* Succeeds when the policy's weights and its golden vectors hold on this machine. */
#include "policy.h"

int main(void) {
    return policy_selftest() == 0u ? 0 : 1;
}
