// The workspace that a caller keeps.

#include "workspace.h"

#include <exception>
#include <memory>

#include "rtseg_core.h"

int rtseg_workspace_create(int threads, rtseg_workspace** workspace) {
    if (workspace == nullptr) return RTSEG_NULL_POINTER;
    if (threads < 0) return RTSEG_BAD_VALUE;
    try {
        *workspace = std::make_unique<rtseg_workspace>(threads, rtseg::Lifetime::kKept).release();
    } catch (const std::exception&) {  // here the standard library throws only if memory runs out
        return RTSEG_NO_MEMORY;
    }
    return RTSEG_OK;
}

void rtseg_workspace_destroy(rtseg_workspace* workspace) { delete workspace; }
