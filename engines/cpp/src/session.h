// A session: one thread's buffers and scratch memory for a model.
#ifndef RTSEG_SRC_SESSION_H
#define RTSEG_SRC_SESSION_H

#include <memory>

#include "backend.h"
#include "ends.h"
#include "model.h"
#include "rtseg/rtseg.h"

namespace rtseg_internal {

// The functions check their arguments and throw Error.
class Session {
  public:
    // threads is the largest number of threads for preprocessing and postprocessing; 0 is the model's.
    Session(std::shared_ptr<const Model> model, int threads);

    void run(const rtseg_image* image, const rtseg_label_map* labels);
    void write_input(const rtseg_image* image);
    void infer();
    void read_labels(const rtseg_label_map* labels);
    rtseg_tensor input();
    rtseg_tensor output();

  private:
    void require_inferred() const;

    bool is_written_ = false, is_inferred_ = false;  // what the parts have done
    int written_height_ = 0, written_width_ = 0;
    std::shared_ptr<const Model> model_;  // before what uses it
    std::unique_ptr<BackendSession> graph_;
    Ends ends_;
};

}  // namespace rtseg_internal

#endif
