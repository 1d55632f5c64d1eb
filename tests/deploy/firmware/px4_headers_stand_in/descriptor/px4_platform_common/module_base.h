/* A stand-in for PX4's module base since March 2026: a class, and a descriptor for each module. Tests only.
 * Source: platforms/common/include/px4_platform_common/module_base.h at 6e035898, read 2026-11-28. */
#pragma once
#include <px4_platform_common/usage.h>

class ModuleBase {
public:
    struct Descriptor {
        Descriptor(int (*ts)(int, char **), int (*cc)(int, char **), int (*pu)(const char *))
            : task_spawn(ts), custom_command(cc), print_usage(pu) {}

        int (*task_spawn)(int argc, char *argv[]);
        int (*custom_command)(int argc, char *argv[]);
        int (*print_usage)(const char *reason);
        px4::atomic<ModuleBase *> object{nullptr};
        int task_id{-1};
    };

    virtual ~ModuleBase() = default;

    static int main(Descriptor &desc, int argc, char *argv[]) {
        if (argc > 1 && strcmp(argv[1], "start") == 0) {
            return desc.task_spawn(argc - 1, argv + 1);
        }
        if (argc > 1 && strcmp(argv[1], "stop") == 0 && desc.object.load() != nullptr) {
            desc.object.load()->request_stop();
            return PX4_OK;
        }
        return desc.custom_command(argc - 1, argv + 1);
    }
    static void exit_and_cleanup(Descriptor &desc) {
        delete desc.object.load();
        desc.object.store(nullptr);
        desc.task_id = -1;
    }
    static bool is_running(const Descriptor &desc) {
        return desc.task_id != -1;
    }
    virtual void run() {}
    virtual void request_stop() {
        _task_should_exit = true;
    }
    bool should_exit() const {
        return _task_should_exit;
    }

    static constexpr int task_id_is_work_queue = -2;

protected:
    bool _task_should_exit{false};
};
