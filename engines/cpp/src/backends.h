// Loads the backends at run time.
#ifndef RTSEG_SRC_BACKENDS_H
#define RTSEG_SRC_BACKENDS_H

#include <string>

#include "backend.h"
#include "manifest.h"

namespace rtseg_internal {

// Return the name of the backend that runs a file by default.
std::string default_backend(const Manifest& manifest);

// Throw Error if a backend does not run files of that kind, or if there is no backend of that name.
void require_kind(const std::string& backend, const Manifest& manifest, const std::string& path);

// Return a backend by name. Its module is loaded once and stays loaded. folder contains the modules; if it is empty,
// they are searched in $RTSEG_BACKENDS, beside this library, and where it was installed. Throws Error
// (RTSEG_STATUS_MISSING) with what is missing.
const Backend& load_backend(const std::string& name, const std::string& folder);

}  // namespace rtseg_internal

#endif
