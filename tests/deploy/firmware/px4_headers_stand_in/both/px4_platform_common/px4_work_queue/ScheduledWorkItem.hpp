/* A stand-in for a header of PX4: the item that is scheduled last is the one that the test runs. Tests only. */
#pragma once
#include "WorkQueueManager.hpp"

namespace px4 {
class ScheduledWorkItem {
public:
    static ScheduledWorkItem *scheduled;
    static uint32_t interval_us;
    static void run() {
        scheduled->Run();
    }

protected:
    ScheduledWorkItem(const char *, const wq_config_t &) {}
    virtual ~ScheduledWorkItem() = default;
    void ScheduleOnInterval(uint32_t every_us) {
        scheduled = this;
        interval_us = every_us;
    }
    void ScheduleClear() {
        scheduled = nullptr;
    }
    virtual void Run() = 0;
};
} // namespace px4
