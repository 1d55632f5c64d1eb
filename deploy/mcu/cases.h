/* The program under test: one function from floats to floats. It may keep a state from one case to the next. */
#ifndef CASES_H
#define CASES_H

void mcu_case(const float *in, float *out);

/* Most floats of one case, in and out each. */
#define MOST_FLOATS 8192u

#endif
