/* A stand-in for a header of PX4. Tests only. */
#pragma once
#include "uORB.h"

namespace uORB {
template <class T> class Publication {
public:
    Publication(orb_metadata *topic) : _topic(topic) {}
    bool publish(const T &message) {
        memcpy(_topic->newest, &message, sizeof(T));
        _topic->published++;
        return true;
    }

private:
    orb_metadata *_topic;
};
} // namespace uORB
