/* A stand-in for a header of Zephyr. Tests only. */
#ifndef DEVICE_H
#define DEVICE_H

struct device {
    const char *name;
};
extern const struct device device_stand_in;
#define DEVICE_DT_GET(node) (&device_stand_in)

#endif
