#include "core_workspace.h"

#include "errors.h"

namespace rtseg_internal {

Workspace::Workspace(int threads) {
    rtseg_workspace* made = nullptr;
    require_done(rtseg_workspace_create(threads, &made));
    workspace_.reset(made);
}

void require_done(int code) {
    if (code == RTSEG_OK) return;
    throw Error(code == RTSEG_NO_MEMORY ? RTSEG_STATUS_NO_MEMORY : RTSEG_STATUS_INVALID_ARGUMENT,
                rtseg_core_message(code));
}

}  // namespace rtseg_internal
