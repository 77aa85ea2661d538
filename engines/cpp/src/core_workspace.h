// The core's workspace, owned.
#ifndef RTSEG_SRC_CORE_WORKSPACE_H
#define RTSEG_SRC_CORE_WORKSPACE_H

#include <memory>

#include "rtseg_core.h"

namespace rtseg_internal {

class Workspace {
  public:
    // At most so many threads; 0 is one per processor. Throws Error.
    explicit Workspace(int threads);

    rtseg_workspace* get() const { return workspace_.get(); }

  private:
    struct Destroy {
        void operator()(rtseg_workspace* workspace) const { rtseg_workspace_destroy(workspace); }
    };
    std::unique_ptr<rtseg_workspace, Destroy> workspace_;
};

// Throw Error unless a code of the core says that all is well.
void require_done(int code);

}  // namespace rtseg_internal

#endif
