/* The program under test: one function from floats to floats. It may carry a state from one case to the next. */
#ifndef CASES_H
#define CASES_H

void mcu_case(const float *in, float *out);

/* Largest number of floats of one case, each for input and output. */
#define MOST_FLOATS 8192u

#endif
