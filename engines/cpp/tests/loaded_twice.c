/* Checks that a program may load the library at run time, let go of it with a session open, and load it again.
 *
 *     loaded_twice FOLDER BACKEND LIBRARY */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "rtseg/rtseg.h"

/* ISO C has no way from dlsym's pointer to a function's but through bytes. */
static int find(void* library, const char* name, void* function) {
    void* const found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static int label(const char* path, const char* backend, const char* name) {
    static uint8_t pixels[300 * 400 * 3], labels[300 * 400];
    const rtseg_image image = {pixels, 300, 400, 400 * 3, RTSEG_PIXELS_RGB};
    const rtseg_label_map map = {labels, 300, 400, 400};
    rtseg_model_options options;
    rtseg_session_options session_options;
    rtseg_model* model = NULL;
    rtseg_session* session = NULL;
    rtseg_status (*open_model)(const char*, const rtseg_model_options*, rtseg_model**);
    rtseg_status (*open_session)(const rtseg_model*, const rtseg_session_options*, rtseg_session**);
    rtseg_status (*run)(rtseg_session*, const rtseg_image*, const rtseg_label_map*);
    const char* (*message)(void);
    void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 0;
    }
    rtseg_model_options_default(&options);
    rtseg_session_options_default(&session_options);
    options.backend = backend;
    session_options.threads = 3;
    if (!find(library, "rtseg_model_open", &open_model) || !find(library, "rtseg_session_open", &open_session) ||
        !find(library, "rtseg_session_run", &run) || !find(library, "rtseg_last_message", &message))
        return 0;
    if (open_model("/nowhere/x", &options, &model) != RTSEG_STATUS_FILE) return 0;
    if (open_model(path, &options, &model) != RTSEG_STATUS_OK ||
        open_session(model, &session_options, &session) != RTSEG_STATUS_OK ||
        run(session, &image, &map) != RTSEG_STATUS_OK) {
        fprintf(stderr, "%s\n", message());
        return 0;
    }
    if (dlclose(library) != 0) return 0;
    return labels[0] != 255;
}

int main(int argc, char** argv) {
    char path[4096];
    void* still = NULL;
    if (argc != 4) return 2;
    snprintf(path, sizeof path, "%s/fp32-logits.onnx", argv[1]);
    if (!label(path, argv[2], argv[3]) || !label(path, argv[2], argv[3])) return 1;
    /* The code stays: threads of sessions that are open sleep in it. */
    still = dlopen(argv[3], RTLD_NOW | RTLD_NOLOAD);
    return still == NULL ? 1 : 0;
}
