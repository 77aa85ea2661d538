/* A libcuda.so.1 whose device is the host: memory is malloc's, streams run what they are given at once, and a captured
 * graph is the list of what was given. It lets the real bindings call real functions with real arguments where there is
 * no GPU. It proves how CUDA is called, and nothing of CUDA.
 *
 * HOST_DRIVER_FAILS=cuMemAlloc:2 makes that call return that code; HOST_DRIVER_VERSION and HOST_DRIVER_DEVICES say what
 * the driver claims; HOST_DRIVER_LACKS names a function that it is too old for. Every call without a context, where CUDA wants one, returns CUDA_ERROR_INVALID_CONTEXT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
enum { SUCCESS = 0, INVALID_VALUE = 1, NO_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, NO_CAPTURE = 900, SPOILT = 901 };

typedef struct work {
    enum { COPY, FILL, KERNEL } kind;
    void *target;
    const void *source;
    size_t size;
    int value;
    int kernel;
    uint64_t parameters[4];
    struct work *next;
} work;

typedef struct { int capturing; work *first, **last; } stream;
typedef struct { work *first; } graph;
typedef struct { unsigned flags; int recorded; float at; } event;

static __thread void *current[16];
static __thread int depth;
static int primary, retained, alive;
static const size_t total_bytes = (size_t)3 << 30, most_bytes = (size_t)2 << 30; /* of the device, and for programs */
static size_t taken_bytes;
static float now;

static CUresult asked_for(const char *name) {
    const char *fails = getenv("HOST_DRIVER_FAILS");
    size_t length = strlen(name);
    if (length > 3 && !strcmp(name + length - 3, "_v2")) length -= 3;
    if (fails && !strncmp(fails, name, length) && fails[length] == ':') return atoi(fails + length + 1);
    return SUCCESS;
}
#define ASKED CUresult asked = asked_for(__func__); if (asked) return asked
#define CONTEXT ASKED; if (!depth || !current[depth - 1]) return NO_CONTEXT

static int number(const char *variable, int otherwise) {
    const char *text = getenv(variable);
    return text ? atoi(text) : otherwise;
}

CUresult cuInit(unsigned flags) { ASKED; return flags ? INVALID_VALUE : SUCCESS; }
CUresult cuDriverGetVersion(int *version) { ASKED; *version = number("HOST_DRIVER_VERSION", 12040); return SUCCESS; }
CUresult cuDeviceGetCount(int *count) { ASKED; *count = number("HOST_DRIVER_DEVICES", 1); return SUCCESS; }
CUresult cuDeviceGet(int *device, int ordinal) { ASKED; *device = ordinal; return SUCCESS; }
CUresult cuDeviceGetName(char *name, int size, int device) { ASKED; snprintf(name, size, "Host %d", device); return SUCCESS; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) { ASKED; *bytes = total_bytes; return SUCCESS; }
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    ASKED;
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : -1;
    return *value < 0 ? INVALID_VALUE : SUCCESS;
}
CUresult cuDeviceComputeCapability(int *major, int *minor, int device) { *major = 9, *minor = 0; return SUCCESS; }
CUresult cuDevicePrimaryCtxRetain(void **context, int device) { ASKED; retained++; *context = &primary; return SUCCESS; }
CUresult cuDevicePrimaryCtxRelease_v2(int device) { ASKED; retained--; return SUCCESS; }
CUresult cuCtxSetCurrent(void *context) { ASKED; if (!depth) depth = 1; current[depth - 1] = context; return SUCCESS; }
CUresult cuCtxPushCurrent_v2(void *context) { ASKED; current[depth++] = context; return SUCCESS; }
CUresult cuCtxPopCurrent_v2(void **context) { CONTEXT; *context = current[--depth]; return SUCCESS; }
CUresult cuCtxGetDevice(int *device) { CONTEXT; *device = 0; return SUCCESS; }
CUresult cuCtxSynchronize(void) { CONTEXT; return SUCCESS; }
CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
    CONTEXT;
    *available = most_bytes - taken_bytes, *total = total_bytes;
    return SUCCESS;
}

CUresult cuMemAlloc_v2(uint64_t *pointer, size_t size) {
    CONTEXT;
    if (size > most_bytes - taken_bytes) return NO_MEMORY;
    alive++;
    void *memory = aligned_alloc(256, (size + 255) / 256 * 256);
    taken_bytes += malloc_usable_size(memory);
    *pointer = (uint64_t)memory;
    return SUCCESS;
}
CUresult cuMemFree_v2(uint64_t pointer) {
    CONTEXT;
    alive--;
    taken_bytes -= malloc_usable_size((void *)pointer);
    free((void *)pointer);
    return SUCCESS;
}
CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned flags) {
    CONTEXT;
    alive++;
    *pointer = malloc(size);
    return SUCCESS;
}
CUresult cuMemFreeHost(void *pointer) { CONTEXT; alive--; free(pointer); return SUCCESS; }

CUresult cuStreamCreate(stream **made, unsigned flags) {
    CONTEXT;
    if (flags != 1) return INVALID_VALUE;
    alive++;
    *made = calloc(1, sizeof(stream));
    return SUCCESS;
}
CUresult cuStreamDestroy_v2(stream *stream) { ASKED; alive--; free(stream); return SUCCESS; }
CUresult cuStreamSynchronize(stream *stream) {
    CONTEXT;
    if (!stream->capturing) return SUCCESS;
    stream->capturing = 2; /* spoilt */
    return NO_CAPTURE;
}
CUresult cuStreamWaitEvent(stream *stream, event *event, unsigned flags) {
    CONTEXT;
    return event->recorded ? SUCCESS : INVALID_VALUE;
}

CUresult cuEventCreate(event **made, unsigned flags) {
    CONTEXT;
    alive++;
    *made = calloc(1, sizeof(event));
    (*made)->flags = flags;
    return SUCCESS;
}
CUresult cuEventDestroy_v2(event *event) { ASKED; alive--; free(event); return SUCCESS; }
CUresult cuEventRecord(event *event, stream *stream) {
    CONTEXT;
    event->recorded = 1;
    event->at = now += 1;
    return SUCCESS;
}
CUresult cuEventSynchronize(event *event) { CONTEXT; return SUCCESS; }
CUresult cuEventElapsedTime(float *ms, event *start, event *end) {
    CONTEXT;
    if ((start->flags | end->flags) & 2) return 400; /* CUDA_ERROR_INVALID_HANDLE: made without timing */
    *ms = end->at - start->at;
    return SUCCESS;
}
CUresult cuEventElapsedTime_v2(float *ms, event *start, event *end) { return cuEventElapsedTime(ms, start, end); }

static void run(const work *work) {
    if (work->kind == COPY) memmove(work->target, work->source, work->size);
    if (work->kind == FILL) memset(work->target, work->value, work->size);
    if (work->kind == KERNEL) {
        float *data = (float *)work->parameters[0], factor;
        memcpy(&factor, &work->parameters[2], 4);
        for (int i = 0; i < (int)work->parameters[1]; i++) data[i] *= factor;
    }
}
static CUresult give(stream *stream, work given) {
    if (stream->capturing == 2) return SPOILT;
    if (!stream->capturing) return run(&given), SUCCESS;
    work *kept = malloc(sizeof(work));
    *kept = given, kept->next = NULL;
    *stream->last = kept, stream->last = &kept->next;
    return SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(uint64_t target, const void *source, size_t size, stream *stream) {
    CONTEXT;
    return give(stream, (work){.kind = COPY, .target = (void *)target, .source = source, .size = size});
}
CUresult cuMemcpyDtoHAsync_v2(void *target, uint64_t source, size_t size, stream *stream) {
    CONTEXT;
    return give(stream, (work){.kind = COPY, .target = target, .source = (void *)source, .size = size});
}
CUresult cuMemcpyDtoDAsync_v2(uint64_t target, uint64_t source, size_t size, stream *stream) {
    CONTEXT;
    return give(stream, (work){.kind = COPY, .target = (void *)target, .source = (void *)source, .size = size});
}
CUresult cuMemsetD8Async(uint64_t target, unsigned char value, size_t size, stream *stream) {
    CONTEXT;
    return give(stream, (work){.kind = FILL, .target = (void *)target, .value = value, .size = size});
}

/* The one kernel is `extern "C" void scale(float *data, int count, float factor)`, whatever the module's code. */
CUresult cuModuleLoadData(void **module, const void *image) {
    CONTEXT;
    if (memcmp(image, "\177ELF", 4)) return 200;
    alive++;
    *module = malloc(1);
    return SUCCESS;
}
CUresult cuModuleLoadDataEx(void **module, const void *image, unsigned count, const int *options, void **values) {
    return cuModuleLoadData(module, image);
}
CUresult cuModuleUnload(void *module) { CONTEXT; alive--; free(module); return SUCCESS; }
CUresult cuModuleGetFunction(void **function, void *module, const char *name) {
    CONTEXT;
    *function = module;
    return strcmp(name, "scale") ? NOT_FOUND : SUCCESS;
}
CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, stream *stream, void **parameters, void **extra) {
    CONTEXT;
    if (!(gx && gy && gz && bx && by && bz) || bx * by * bz > 1024 || shared > 48 << 10) return INVALID_VALUE;
    work given = {.kind = KERNEL};
    if (parameters) {
        memcpy(&given.parameters[0], parameters[0], 8);
        memcpy(&given.parameters[1], parameters[1], 4);
        memcpy(&given.parameters[2], parameters[2], 4);
    } else { /* CU_LAUNCH_PARAM_BUFFER_POINTER: the values one behind the other, aligned */
        const char *buffer = extra[1];
        memcpy(&given.parameters[0], buffer, 8);
        memcpy(&given.parameters[1], buffer + 8, 4);
        memcpy(&given.parameters[2], buffer + 12, 4);
    }
    return give(stream, given);
}

CUresult cuStreamBeginCapture_v2(stream *stream, int mode) {
    CONTEXT;
    if (mode != 1) return INVALID_VALUE; /* CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */
    stream->capturing = 1, stream->first = NULL, stream->last = &stream->first;
    return SUCCESS;
}
CUresult cuStreamEndCapture(stream *stream, graph **recorded) {
    CONTEXT;
    int spoilt = stream->capturing == 2;
    stream->capturing = 0;
    if (spoilt) return SPOILT;
    alive++;
    *recorded = malloc(sizeof(graph));
    (*recorded)->first = stream->first;
    return SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(graph **ready, graph *recorded, unsigned long long flags) {
    CONTEXT;
    if (flags) return INVALID_VALUE;
    alive++;
    *ready = malloc(sizeof(graph));
    **ready = *recorded;
    return SUCCESS;
}
CUresult cuGraphInstantiate(graph **ready, graph *recorded, unsigned long long flags) {
    return cuGraphInstantiateWithFlags(ready, recorded, flags);
}
CUresult cuGraphDestroy(graph *graph) { ASKED; alive--; free(graph); return SUCCESS; }
CUresult cuGraphExecDestroy(graph *graph) { ASKED; alive--; free(graph); return SUCCESS; }
CUresult cuGraphUpload(graph *graph, stream *stream) { CONTEXT; return SUCCESS; }
CUresult cuGraphLaunch(graph *graph, stream *stream) {
    CONTEXT;
    for (const work *work = graph->first; work; work = work->next) run(work);
    return SUCCESS;
}

CUresult cuGetErrorString(CUresult code, const char **text) {
    static const struct { int code; const char *text; } known[] = {
        {2, "out of memory"}, {100, "no CUDA-capable device is detected"}, {200, "device kernel image is invalid"},
        {201, "invalid device context"}, {400, "invalid resource handle"}, {500, "named symbol not found"},
        {803, "system has unsupported display driver / cuda driver combination"},
    };
    *text = "unrecognized error code";
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == code) *text = known[i].text;
    return SUCCESS;
}

/* For tests: what was made and not freed, and how often the context is held. */
int host_driver_alive(void) { return alive; }
int host_driver_retained(void) { return retained; }

static CUresult address_of(const char *symbol, void **function) {
    char name[80];
    const char *lacks = getenv("HOST_DRIVER_LACKS");
    if (lacks && !strcmp(lacks, symbol)) return *function = NULL, NOT_FOUND;
    snprintf(name, sizeof name, "%s_v2", symbol);
    *function = dlsym(RTLD_DEFAULT, name);
    if (!*function) *function = dlsym(RTLD_DEFAULT, symbol);
    return *function ? SUCCESS : NOT_FOUND;
}
CUresult cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags) {
    return address_of(symbol, function);
}
CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
    CUresult code = address_of(symbol, function);
    if (status) *status = code ? 1 : 0;
    return code;
}
