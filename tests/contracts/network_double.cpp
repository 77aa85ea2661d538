/* A network for TensorRT's ONNX parser to fill, where TensorRT's own would want a GPU before it exists.
 *
 * The parser knows a network, its tensors and its layers by tables of functions. The tables here keep what they are
 * told and answer with shapes and types, which is all that the parser asks; nothing is computed. So the parser is the
 * real one, with every check of its own, and of the checks of TensorRT's builder there are none but that sizes fit.
 *
 * A table's numbers are positions in the interface of TensorRT 8.5. A position that is not filled in here says so in
 * the report when the parser comes to it.
 */
#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

struct Dims { int32_t rank; int32_t size[8]; };
struct Weights { int32_t type; const void *values; int64_t count; };
struct Order { int32_t from[8]; };
enum Type { FLOAT, HALF, INT8, INT32, BOOL, UINT8 };
enum Kind {
    CONVOLUTION = 0, ACTIVATION = 2, POOLING = 3, SCALE = 5, SOFTMAX = 6, DECONVOLUTION = 7, CONCATENATION = 8,
    ELEMENTWISE = 9, SHUFFLE = 13, REDUCE = 14, TOPK = 15, MATRIX_MULTIPLY = 17, CONSTANT = 19, IDENTITY = 21,
    SLICE = 23, PARAMETRIC_RELU = 25, RESIZE = 26, QUANTIZE = 33, DEQUANTIZE = 34
};

struct Layer;
using Functions = std::array<void *, 80>;
struct Part { const Functions *functions; void *owner; };

/* What the parser holds a pointer to: a table of its own, which it never uses, and then its parts. */
struct Tensor {
    const void *unused = nullptr;
    Part *part = &own;
    Part own{};
    Layer *source = nullptr;
    int index = 0;
    std::string name;
    Dims given{};
    int type = -1;
    bool is_input = false;
};
struct Layer {
    const void *unused = nullptr;
    Part *common = &parts[0], *special = &parts[1];
    Part parts[2]{};
    int kind = 0;
    std::string name;
    std::vector<Tensor *> inputs;
    std::deque<Tensor> outputs;
    Dims window{}, stride{}, dilation{}, before{}, after{}, target{-1, {}};
    Order first{{0, 1, 2, 3, 4, 5, 6, 7}};
    Weights weights{};
    int32_t maps = 0, rounding = 0, axis = 0, k = 0, operation[2] = {0, 0}, mode = 0, coordinates = 0;
    uint32_t axes = 0;
    bool keep = false, zero_copies = true;
    int types[2] = {-1, -1};
    mutable Dims known{};
    mutable int64_t known_since = -1;
};
struct Network {
    const void *unused = nullptr;
    Part *part = &own;
    Part own{};
    std::deque<Tensor> inputs;
    std::vector<Tensor *> outputs;
    std::deque<Layer> layers;
};

int64_t changes; /* of layers: a shape is known until the next one */
std::vector<std::string> faults;
std::vector<std::pair<int, std::string>> told;

[[noreturn]] void refuse(const std::string &text) { throw std::runtime_error(text); }

/* ---- shapes and types ---- */

Dims shape_of(const Tensor &tensor);
int type_of(const Tensor &tensor);

std::string text_of(const Dims &dims) {
    std::string text;
    for (int i = 0; i < dims.rank; i++) text += (i ? ", " : "") + std::to_string(dims.size[i]);
    return "[" + text + "]";
}
int64_t count_of(const Dims &dims) {
    int64_t count = 1;
    for (int i = 0; i < dims.rank; i++) count *= dims.size[i];
    return count;
}
Dims broadcast(const Dims &a, const Dims &b) {
    if (a.rank != b.rank) refuse("different ranks " + text_of(a) + " and " + text_of(b));
    Dims result = a;
    for (int i = 0; i < a.rank; i++) {
        if (a.size[i] != b.size[i] && a.size[i] != 1 && b.size[i] != 1)
            refuse("sizes that do not broadcast " + text_of(a) + " and " + text_of(b));
        result.size[i] = a.size[i] == 1 ? b.size[i] : a.size[i];
    }
    return result;
}
Dims reordered(const Dims &dims, const Order &order) {
    Dims result = dims;
    for (int i = 0; i < dims.rank; i++) result.size[i] = dims.size[order.from[i]];
    return result;
}
Dims constant_dims(const Tensor &tensor) {
    const Layer *layer = tensor.source;
    if (!layer || layer->kind != CONSTANT || layer->weights.type != INT32) refuse("a size that is not a constant");
    Dims result{int32_t(layer->weights.count), {}};
    for (int i = 0; i < result.rank; i++) result.size[i] = static_cast<const int32_t *>(layer->weights.values)[i];
    return result;
}
Dims windowed(const Layer &layer) {
    Dims dims = shape_of(*layer.inputs[0]);
    if (dims.rank != layer.window.rank + 2) refuse("a window of another rank than its input " + text_of(dims));
    if (layer.kind != POOLING) dims.size[1] = layer.maps;
    for (int i = 0; i < layer.window.rank; i++) {
        int stride = layer.stride.size[i], in = dims.size[i + 2], pad = layer.before.size[i] + layer.after.size[i];
        int extent = layer.dilation.size[i] * (layer.window.size[i] - 1) + 1, free = in + pad - extent;
        int &out = dims.size[i + 2];
        if (layer.kind == DECONVOLUTION) out = (in - 1) * stride + extent - pad;
        else if (layer.rounding > 1) out = (in + stride - 1) / stride;
        else if (free < 0) refuse("a window larger than its input " + text_of(dims));
        else out = (free + (layer.rounding == 1 ? stride - 1 : 0)) / stride + 1;
    }
    return dims;
}
Dims multiplied(const Layer &layer) {
    Dims sides[2];
    for (int i = 0; i < 2; i++) {
        Dims &dims = sides[i] = shape_of(*layer.inputs[i]);
        if (dims.rank < 2 || layer.operation[i] > 1) refuse("a product with a vector");
        if (layer.operation[i]) std::swap(dims.size[dims.rank - 1], dims.size[dims.rank - 2]);
    }
    int last = sides[0].rank - 1;
    if (sides[1].rank != last + 1 || sides[0].size[last] != sides[1].size[last - 1])
        refuse("matrices that do not fit " + text_of(sides[0]) + " and " + text_of(sides[1]));
    int rows = sides[0].size[last - 1], columns = sides[1].size[last];
    sides[0].rank = sides[1].rank = last - 1;
    Dims result = broadcast(sides[0], sides[1]);
    result.rank = last + 1, result.size[last - 1] = rows, result.size[last] = columns;
    return result;
}
Dims concatenated(const Layer &layer) {
    Dims result = shape_of(*layer.inputs[0]);
    for (size_t i = 1; i < layer.inputs.size(); i++) {
        Dims next = shape_of(*layer.inputs[i]);
        for (int axis = 0; axis < result.rank; axis++)
            if (next.rank != result.rank || (axis != layer.axis && next.size[axis] != result.size[axis]))
                refuse("parts that do not fit " + text_of(result) + " and " + text_of(next));
        result.size[layer.axis] += next.size[layer.axis];
    }
    return result;
}
Dims shuffled(const Layer &layer) {
    Dims source = reordered(shape_of(*layer.inputs[0]), layer.first);
    Dims target = layer.target;
    if (target.rank < 0) return source;
    int open = -1;
    for (int i = 0; i < target.rank; i++) {
        if (target.size[i] == 0 && layer.zero_copies) target.size[i] = source.size[i];
        if (target.size[i] == -1) open = i, target.size[i] = 1;
    }
    if (open >= 0) target.size[open] = int32_t(count_of(source) / count_of(target));
    if (count_of(source) != count_of(target)) refuse("a reshape of " + text_of(source) + " to " + text_of(target));
    return target;
}
Dims reduced(const Layer &layer) {
    Dims source = shape_of(*layer.inputs[0]), result{0, {}};
    for (int i = 0; i < source.rank; i++) {
        if (!(layer.axes >> i & 1)) result.size[result.rank++] = source.size[i];
        else if (layer.kind == TOPK) result.size[result.rank++] = layer.k;
        else if (layer.keep) result.size[result.rank++] = 1;
    }
    return result;
}
Dims resized(const Layer &layer) {
    Dims source = shape_of(*layer.inputs[0]);
    if (layer.inputs.size() < 2) refuse("no sizes for " + text_of(source));
    return constant_dims(*layer.inputs[1]);
}
Dims computed_shape(const Layer &layer) {
    switch (layer.kind) {
    case CONVOLUTION: case DECONVOLUTION: case POOLING: return windowed(layer);
    case ELEMENTWISE: return broadcast(shape_of(*layer.inputs[0]), shape_of(*layer.inputs[1]));
    case MATRIX_MULTIPLY: return multiplied(layer);
    case CONCATENATION: return concatenated(layer);
    case SHUFFLE: return shuffled(layer);
    case REDUCE: case TOPK: return reduced(layer);
    case RESIZE: return resized(layer);
    case SLICE: case CONSTANT: return layer.target;
    default: return shape_of(*layer.inputs[0]);
    }
}
Dims shape_of(const Tensor &tensor) {
    if (!tensor.source) return tensor.given;
    const Layer &layer = *tensor.source;
    if (layer.known_since != changes) layer.known = computed_shape(layer), layer.known_since = changes;
    return layer.known;
}

int type_of(const Tensor &tensor) {
    if (tensor.type >= 0) return tensor.type;
    const Layer &layer = *tensor.source;
    if (layer.types[tensor.index] >= 0) return layer.types[tensor.index];
    switch (layer.kind) {
    case CONSTANT: return layer.weights.type;
    case QUANTIZE: return INT8;
    case DEQUANTIZE: return FLOAT;
    case TOPK: return tensor.index ? INT32 : type_of(*layer.inputs[0]);
    case ELEMENTWISE: return layer.operation[0] >= 8 ? BOOL : type_of(*layer.inputs[0]);
    default: return type_of(*layer.inputs[0]);
    }
}

/* ---- tables: each function gets the part that it was called on ---- */

template <int Place> int64_t missing(void *) {
    faults.push_back("position " + std::to_string(Place) + " of a table is not filled in");
    return 0;
}
template <int... Places> Functions all_missing(std::integer_sequence<int, Places...>) {
    return {reinterpret_cast<void *>(&missing<Places>)...};
}
struct Entry {
    int place;
    void *function;
    template <typename Function> Entry(int place, Function *function)
        : place(place), function(reinterpret_cast<void *>(function)) {}
};
Functions table(const std::vector<Entry> &entries) {
    Functions functions = all_missing(std::make_integer_sequence<int, 80>());
    for (const Entry &entry : entries) functions[entry.place] = entry.function;
    return functions;
}
Tensor &tensor(Part *part) { return *static_cast<Tensor *>(part->owner); }
const Layer &layer(Part *part) { return *static_cast<Layer *>(part->owner); }
Layer &changed(Part *part) { return changes++, *static_cast<Layer *>(part->owner); }
Network &network(Part *part) { return *static_cast<Network *>(part->owner); }

template <auto Member> void set(Part *part, std::decay_t<decltype(std::declval<Layer>().*Member)> value) {
    changed(part).*Member = value;
}

Dims asked_shape(const Tensor &tensor) {
    try {
        return shape_of(tensor);
    } catch (const std::runtime_error &error) {
        faults.push_back("layer " + tensor.source->name + ": " + error.what());
        return Dims{-1, {}};
    }
}
const Functions TENSOR = table({
    {2, +[](Part *part, const char *name) { tensor(part).name = name; }},
    {3, +[](Part *part) { return tensor(part).name.c_str(); }},
    {5, +[](Part *part) { return asked_shape(tensor(part)); }},
    {6, +[](Part *part, int type) { tensor(part).type = type; }},
    {7, +[](Part *part) { return type_of(tensor(part)); }},
    {9, +[](Part *part) { return tensor(part).is_input; }},
});
const Functions LAYER = table({
    {2, +[](Part *part) { return layer(part).kind; }},
    {3, +[](Part *part, const char *name) { changed(part).name = name; }},
    {8, +[](Part *part, int index) { return &static_cast<Layer *>(part->owner)->outputs[index]; }},
    {9, +[](Part *part, int index, Tensor *input) {
        std::vector<Tensor *> &inputs = changed(part).inputs;
        if (inputs.size() <= size_t(index)) inputs.resize(index + 1);
        inputs[index] = input;
    }},
    {14, +[](Part *part, int index, int type) { changed(part).types[index] = type; }},
});
void ignore_float(Part *, float) {}
void ignore_number(Part *, int) {}

const Functions CONVOLUTIONS = table({
    {10, ignore_number}, {18, set<&Layer::before>}, {20, set<&Layer::after>}, {22, set<&Layer::rounding>},
    {26, set<&Layer::stride>}, {30, set<&Layer::dilation>},
});
const Functions DECONVOLUTIONS = table({
    {10, ignore_number}, {16, set<&Layer::before>}, {18, set<&Layer::after>}, {20, set<&Layer::rounding>},
    {24, set<&Layer::stride>}, {28, set<&Layer::dilation>},
});
const Functions POOLINGS = table({
    {12, +[](Part *, bool) {}}, {14, set<&Layer::before>}, {16, set<&Layer::after>}, {18, set<&Layer::rounding>},
    {22, set<&Layer::stride>},
});
const Functions ACTIVATIONS = table({{4, ignore_float}, {5, ignore_float}});
const Functions SCALES = table({{11, ignore_number}});
const Functions SOFTMAXES = table({{2, set<&Layer::axes>}});
const Functions CONCATENATIONS = table({{2, set<&Layer::axis>}});
const Functions QUANTIZATIONS = table({{3, set<&Layer::axis>}});
const Functions SHUFFLES = table({
    {2, +[](Part *part, const Order *order) { changed(part).first = *order; }},
    {4, set<&Layer::target>},
    {8, set<&Layer::zero_copies>},
});
const Functions SLICES = table({{8, ignore_number}});
const Functions RESIZES = table({
    {6, set<&Layer::mode>}, {10, set<&Layer::coordinates>}, {12, ignore_number}, {14, ignore_number},
    {16, ignore_float}, {18, +[](Part *, bool) {}},
});
const Functions NOTHING_MORE = table({});

Layer *add(Part *part, int kind, const Functions &functions, std::vector<Tensor *> inputs, int outputs = 1) {
    Network &owner = network(part);
    Layer &made = owner.layers.emplace_back();
    made.parts[0] = {&LAYER, &made}, made.parts[1] = {&functions, &made};
    made.kind = kind, made.inputs = std::move(inputs);
    made.name = "(Unnamed Layer* " + std::to_string(owner.layers.size() - 1) + ")";
    for (int i = 0; i < outputs; i++) {
        Tensor &output = made.outputs.emplace_back();
        output.own = {&TENSOR, &output}, output.source = &made, output.index = i;
        output.name = made.name + "_output";
    }
    return &made;
}
Dims filled(int rank, int value) {
    Dims dims{rank, {}};
    for (int i = 0; i < rank; i++) dims.size[i] = value;
    return dims;
}
Layer *add_window(Part *part, int kind, const Functions &functions, Tensor *input, int maps, Dims window) {
    Layer *made = add(part, kind, functions, {input});
    made->maps = maps, made->window = window, made->stride = made->dilation = filled(window.rank, 1);
    made->before = made->after = filled(window.rank, 0);
    return made;
}
template <int kind, const Functions &functions, typename... Ignored>
Layer *add_of_one(Part *part, Tensor *a, Ignored...) {
    return add(part, kind, functions, {a});
}
template <int kind, const Functions &functions> Layer *add_of_two(Part *part, Tensor *a, Tensor *b) {
    return add(part, kind, functions, {a, b});
}
const Functions NETWORK = table({
    {2, +[](Part *part, const char *name, int type, Dims dims) {
        Tensor &made = network(part).inputs.emplace_back();
        made.own = {&TENSOR, &made}, made.name = name, made.type = type, made.given = dims, made.is_input = true;
        return &made;
    }},
    {3, +[](Part *part, Tensor *tensor) { network(part).outputs.push_back(tensor); }},
    {6, add_of_one<ACTIVATION, ACTIVATIONS, int>},
    {9, add_of_one<SCALE, SCALES, int, Weights, Weights, Weights>},
    {10, add_of_one<SOFTMAX, SOFTMAXES>},
    {11, +[](Part *part, Tensor *const *inputs, int count) {
        return add(part, CONCATENATION, CONCATENATIONS, std::vector<Tensor *>(inputs, inputs + count));
    }},
    {13, +[](Part *part, Tensor *a, Tensor *b, int operation) {
        Layer *made = add(part, ELEMENTWISE, NOTHING_MORE, {a, b});
        made->operation[0] = operation;
        return made;
    }},
    {16, add_of_one<SHUFFLE, SHUFFLES>},
    {17, +[](Part *part) { return int32_t(network(part).layers.size()); }},
    {23, +[](Part *part, Tensor *input, int operation, uint32_t axes, bool keep) {
        Layer *made = add(part, REDUCE, NOTHING_MORE, {input});
        made->operation[0] = operation, made->axes = axes, made->keep = keep;
        return made;
    }},
    {24, +[](Part *part, Tensor *input, int operation, int k, uint32_t axes) {
        Layer *made = add(part, TOPK, NOTHING_MORE, {input}, 2);
        made->operation[0] = operation, made->k = k, made->axes = axes;
        return made;
    }},
    {27, +[](Part *part, Tensor *a, int of_a, Tensor *b, int of_b) {
        Layer *made = add(part, MATRIX_MULTIPLY, NOTHING_MORE, {a, b});
        made->operation[0] = of_a, made->operation[1] = of_b;
        return made;
    }},
    {28, +[](Part *part, Dims dims, Weights weights) {
        Layer *made = add(part, CONSTANT, NOTHING_MORE, {});
        made->target = dims, made->weights = weights;
        return made;
    }},
    {30, add_of_one<IDENTITY, NOTHING_MORE>},
    {34, +[](Part *part, Tensor *input, Dims, Dims size, Dims) {
        Layer *made = add(part, SLICE, SLICES, {input});
        made->target = size;
        return made;
    }},
    {38, +[](Part *) { return false; }},
    {41, add_of_two<PARAMETRIC_RELU, NOTHING_MORE>},
    {42, +[](Part *part, Tensor *input, int maps, Dims window, Weights, Weights) {
        return add_window(part, CONVOLUTION, CONVOLUTIONS, input, maps, window);
    }},
    {43, +[](Part *part, Tensor *input, int, Dims window) {
        return add_window(part, POOLING, POOLINGS, input, 0, window);
    }},
    {44, +[](Part *part, Tensor *input, int maps, Dims window, Weights, Weights) {
        return add_window(part, DECONVOLUTION, DECONVOLUTIONS, input, maps, window);
    }},
    {45, add_of_one<SCALE, SCALES, int, Weights, Weights, Weights, int>},
    {46, add_of_one<RESIZE, RESIZES>},
    {52, +[](Part *, Weights, const char *) { return true; }},
    {53, +[](Part *, void *) {}},
    {54, +[](Part *) { return static_cast<void *>(nullptr); }},
    {55, add_of_two<DEQUANTIZE, QUANTIZATIONS>},
    {56, add_of_two<QUANTIZE, QUANTIZATIONS>},
});

/* ---- the parser, as its public header describes it ---- */

struct ParserError {
    virtual int code() const = 0;
    virtual const char *description() const = 0;
    virtual const char *file() const = 0;
    virtual int line() const = 0;
    virtual const char *function() const = 0;
    virtual int node() const = 0;
};
struct Parser {
    virtual bool parse(const void *model, size_t size, const char *path) = 0;
    virtual bool parse_file(const char *path, int severity) = 0;
    virtual bool supports_model(const void *model, size_t size, void *parts, const char *path) = 0;
    virtual bool parse_with_weights(const void *model, size_t size) = 0;
    virtual bool supports_operator(const char *name) const = 0;
    virtual void destroy() = 0;
    virtual int error_count() const = 0;
    virtual const ParserError *error(int index) const = 0;
};
struct Logger {
    virtual void log(int severity, const char *message) noexcept { told.emplace_back(severity, message); }
    virtual ~Logger() = default;
} logger;

std::string quoted(const std::string &text) {
    std::string result = "\"";
    for (unsigned char letter : text) {
        char escaped[8];
        bool plain = letter >= 32 && letter != '"' && letter != '\\';
        std::snprintf(escaped, sizeof escaped, plain ? "%c" : "\\u%04x", letter);
        result += escaped;
    }
    return result + "\"";
}
template <typename Items, typename Text> std::string list_of(const Items &items, const Text &text) {
    std::string result;
    for (const auto &item : items) result += (result.empty() ? "" : ",") + text(item);
    return "[" + result + "]";
}
std::string described(const Tensor &tensor) {
    static const char *types[] = {"float32", "float16", "int8", "int32", "bool", "uint8"};
    return "{\"name\":" + quoted(tensor.name) + ",\"type\":\"" + types[type_of(tensor)] +
           "\",\"shape\":" + text_of(asked_shape(tensor)) + "}";
}
std::string described(const Layer &layer) {
    std::string outputs = list_of(layer.outputs, [](const Tensor &output) { return described(output); });
    std::string inputs = list_of(layer.inputs, [](Tensor *const &input) { return described(*input); });
    return "{\"kind\":" + std::to_string(layer.kind) + ",\"name\":" + quoted(layer.name) +
           ",\"mode\":" + std::to_string(layer.mode) + ",\"coordinates\":" + std::to_string(layer.coordinates) +
           ",\"inputs\":" + inputs + ",\"outputs\":" + outputs + "}";
}

using Create = Parser *(void *network, void *logger, int version);
constexpr int VERSION = 100;

Network &empty_network() {
    static Network empty;
    empty.own = {&NETWORK, &empty};
    return empty;
}

} // namespace

/* Return, as JSON that the caller keeps before the next call, what the parser made of a serialised model. */
extern "C" const char *parsed(Create *create, const void *model, size_t size) {
    static std::string report;
    faults.clear(), told.clear();
    Network made;
    made.own = {&NETWORK, &made};
    Parser *parser = create(&made, &logger, VERSION);
    bool accepted = parser->parse(model, size, nullptr);
    std::vector<const ParserError *> errors;
    for (int i = 0; i < parser->error_count(); i++) errors.push_back(parser->error(i));
    report = std::string("{\"accepted\":") + (accepted ? "true" : "false");
    report += ",\"errors\":" + list_of(errors, [](const ParserError *const &error) {
        return "[" + std::to_string(error->node()) + "," + quoted(error->description()) + "]";
    });
    report += ",\"inputs\":" + list_of(made.inputs, [](const Tensor &input) { return described(input); });
    report += ",\"outputs\":" + list_of(made.outputs, [](Tensor *const &output) { return described(*output); });
    report += ",\"layers\":" + list_of(made.layers, [](const Layer &layer) { return described(layer); });
    report += ",\"faults\":" + list_of(faults, quoted);
    report += ",\"log\":" + list_of(told, [](const std::pair<int, std::string> &line) {
        return "[" + std::to_string(line.first) + "," + quoted(line.second) + "]";
    }) + "}";
    parser->destroy();
    return report.c_str();
}

/* Return whether the parser has an importer for an operator. */
extern "C" bool knows(Create *create, const char *operator_name) {
    static Parser *parser = create(&empty_network(), &logger, VERSION);
    return parser->supports_operator(operator_name);
}
