// The backends, loaded at run time.
#ifndef RTSEG_SRC_BACKENDS_H
#define RTSEG_SRC_BACKENDS_H

#include <string>

#include "backend.h"
#include "manifest.h"

namespace rtseg_internal {

// Return the name of the backend that runs a file where none is asked for.
std::string default_backend(const Manifest& manifest);

// Throw Error where a backend does not run files of that kind, or no backend has that name.
void require_kind(const std::string& backend, const Manifest& manifest, const std::string& path);

// Return a backend by name. Its module is loaded once and stays. folder: where modules lie; empty: $RTSEG_BACKENDS,
// beside this library, or where it was installed. Throws Error, RTSEG_STATUS_MISSING, that says what is missing.
const Backend& load_backend(const std::string& name, const std::string& folder);

}  // namespace rtseg_internal

#endif
