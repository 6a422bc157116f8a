// What plugins of all kinds have in common. A source includes the header of its kind, which includes this one: `swift_loss.h`,
// `swift_metric.h`, `swift_reward.h` or `swift_schedule.h`.
//
// A file defines `PLUGIN`, what the plugin says of itself, and the functions of its kind. Everything else of the contract is
// here, over the bindings that wit-bindgen makes of the kind's world, such as `loss-plugin`.
#ifndef SWIFT_PLUGIN_H
#define SWIFT_PLUGIN_H

// The bindings name their own types and functions after the world.
#ifndef WORLD
#error "include the header of a kind, such as `swift_loss.h`"
#endif

// Text that is not ended by a zero, in UTF-8: `ptr` and `len`.
typedef WORLD(string_t) text;

// A hyper-parameter. Its variable is set before the run; at first it has the default.
typedef struct {
    const char *name;          // As the user writes it, in snake case.
    const char *summary;       // One sentence.
    const char *default_value; // As JSON.
    double *number;            // The variable of a number, or
    bool *boolean;             // that of one that is true or false.
    const double *minimum;     // The least number that it takes; none if null.
    const double *maximum;     // The greatest number that it takes; none if null.
} parameter;

// What a plugin says of itself.
typedef struct {
    const char *name;            // As the user names it.
    const char *version;         // The plugin's own version.
    const char *summary;         // One sentence.
    const parameter *parameters; // The hyper-parameters, in the order in which help shows them.
    size_t parameter_count;      // Their number.
#ifdef OF_ITS_KIND
    OF_ITS_KIND
#endif
} plugin;

// Defined by the plugin.
extern const plugin PLUGIN;

// Ends the call with an error for the user, in one sentence; the first one counts.
void fail(const char *message);
// Whether there was a failure, so that all that follows is given up.
bool has_failed(void);
// Writes a line of the log: `SWIFT_PLUGIN_LOG_LEVEL_INFO` and its siblings.
void log_line(swift_plugin_log_level_t level, const char *message);
// Memory until the end of the call.
void *lasting(size_t size);

// For the kinds: what a call begins and ends with.
void begin_call(void);
void end_call(void);
// The first failure of the call: its words, and what the host calls it, if it is one of the host's.
typedef struct {
    bool is_there, is_of_the_host;
    uint8_t kind;
    text words;
} failure;
extern failure FAILURE;
// A list with room for one element more.
void *grown(void *list, size_t count, size_t *room, size_t size);

#endif
