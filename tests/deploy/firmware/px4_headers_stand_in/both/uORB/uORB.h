/* A stand-in for a header of PX4: a topic holds its newest message. Tests only. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct orb_metadata {
    unsigned published;
    unsigned char newest[256];
};
typedef const orb_metadata *orb_id_t;

#define ORB_ID(name) (&orb_stand_in_##name)
#define ORB_DECLARE(name) extern orb_metadata orb_stand_in_##name
