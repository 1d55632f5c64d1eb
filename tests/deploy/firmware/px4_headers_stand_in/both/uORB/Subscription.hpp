/* A stand-in for a header of PX4. Tests only. */
#pragma once
#include "uORB.h"

namespace uORB {
class Subscription {
public:
    Subscription(orb_id_t topic) : _topic(topic) {}
    /* The newest message; false when there was none. The real one takes a void pointer, too. */
    template <class T> bool copy(T *into) {
        static_assert(sizeof(T) <= sizeof(_topic->newest), "the stand-in's messages are short");
        if (_topic->published == 0) {
            return false;
        }
        memcpy(into, _topic->newest, sizeof(T));
        return true;
    }

private:
    orb_id_t _topic;
};
} // namespace uORB
