/* A stand-in for a header of PX4. Tests only. */
#pragma once

#define PX4_ERR(...) ((void)0)
#define PX4_WARN(...) ((void)0)
