/* A stand-in for a header of crazyflie-firmware. Tests only. */
void appMain(void);
