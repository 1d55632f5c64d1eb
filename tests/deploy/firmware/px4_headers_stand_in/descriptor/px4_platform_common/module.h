/* A stand-in for a header of PX4. Tests only. */
#pragma once
#include "module_base.h"
