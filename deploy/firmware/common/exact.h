/* Included first by every file that computes, for the same float32 results on every machine, and for speed under -Os.
 * A fused multiply-add rounds once where two operations round twice, and only some compilers and chips use it. */
#ifndef EXACT_H
#define EXACT_H

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("O2", "fp-contract=off")
#endif

#endif
