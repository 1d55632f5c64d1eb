/* A stand-in for PX4's module base until early 2026: a template over the module. Tests only.
 * Source: platforms/common/include/px4_platform_common/module.h at 126c8905, read 2026-11-28. */
#pragma once
#include <px4_platform_common/usage.h>

template <class T> class ModuleBase {
public:
    virtual ~ModuleBase() = default;

    static int main(int argc, char *argv[]) {
        if (argc > 1 && strcmp(argv[1], "start") == 0) {
            return T::task_spawn(argc - 1, argv + 1);
        }
        if (argc > 1 && strcmp(argv[1], "stop") == 0 && _object.load() != nullptr) {
            _object.load()->request_stop();
            return PX4_OK;
        }
        return T::custom_command(argc - 1, argv + 1);
    }
    virtual void run() {}
    static bool is_running() {
        return _task_id != -1;
    }

protected:
    virtual void request_stop() {
        _task_should_exit = true;
    }
    bool should_exit() const {
        return _task_should_exit;
    }
    static void exit_and_cleanup() {
        delete _object.load();
        _object.store(nullptr);
        _task_id = -1;
    }

    static px4::atomic<T *> _object;
    static int _task_id;
    static constexpr const int task_id_is_work_queue = -2;

private:
    bool _task_should_exit{false};
};

template <class T> px4::atomic<T *> ModuleBase<T>::_object{nullptr};
template <class T> int ModuleBase<T>::_task_id = -1;
