// Owns a workspace of the C++ core.
#ifndef RTSEG_SRC_CORE_WORKSPACE_H
#define RTSEG_SRC_CORE_WORKSPACE_H

#include <memory>

#include "rtseg_core.h"

namespace rtseg_internal {

class Workspace {
  public:
    // threads is the largest number of threads; 0 is one per processor. Throws Error.
    explicit Workspace(int threads);

    rtseg_workspace* get() const { return workspace_.get(); }

  private:
    struct Destroy {
        void operator()(rtseg_workspace* workspace) const { rtseg_workspace_destroy(workspace); }
    };
    std::unique_ptr<rtseg_workspace, Destroy> workspace_;
};

// Throw Error unless the core's return code means success.
void require_done(int code);

}  // namespace rtseg_internal

#endif
