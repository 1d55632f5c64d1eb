/* A stand-in for a header of crazyflie-firmware, with the stacks raised as the app's README asks. Tests only. */
#define configMINIMAL_STACK_SIZE ((unsigned short)150)
#ifndef STABILIZER_TASK_STACKSIZE
#define STABILIZER_TASK_STACKSIZE (10 * configMINIMAL_STACK_SIZE)
#endif
#define SYSTEM_TASK_STACKSIZE (12 * configMINIMAL_STACK_SIZE)
