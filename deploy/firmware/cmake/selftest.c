/* Exits with 0 when the policy's self-test passes on this machine. */
#include "policy.h"

int main(void) {
    return policy_selftest() == 0u ? 0 : 1;
}
