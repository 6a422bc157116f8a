// Reads hyper-parameters: numbers and booleans in a flat JSON object, which the host has checked.

#include "swift_kind.h"

#include "swift_parameters.h"

#include <string.h>

// A text that is put together, for messages.
static char message[256];
static size_t written;

static void say(const char *text, size_t length) {
    for (size_t i = 0; i < length && written + 1 < sizeof message; i++) message[written++] = text[i];
    message[written] = 0;
}

static void say_text(const char *text) { say(text, strlen(text)); }

// A whole number in decimal digits; bounds are seldom anything else, and the user's value is shown as it was written.
static void say_bound(double bound) {
    char digits[20];
    size_t first = sizeof digits;
    uint64_t rest = (uint64_t)(bound < 0 ? -bound : bound);
    const uint64_t thousandths = (uint64_t)(((bound < 0 ? -bound : bound) - (double)rest) * 1000.0 + 0.5);
    do digits[--first] = (char)('0' + rest % 10), rest /= 10;
    while (rest);
    if (bound < 0) say_text("-");
    say(digits + first, sizeof digits - first);
    if (thousandths) {
        const char fraction[] = {'.', (char)('0' + thousandths / 100), (char)('0' + thousandths / 10 % 10),
                                 (char)('0' + thousandths % 10)};
        say(fraction, sizeof fraction);
    }
}

static double power_of_ten(int exponent) {
    double power = 1.0;
    for (int i = 0; i < (exponent < 0 ? -exponent : exponent); i++) power *= 10.0;
    return power;
}

// The number that a text of JSON begins with. Exact for up to 15 digits and an exponent up to 22, and to within a few units
// of the last place beyond.
static double number(const char *text, const char *end) {
    const bool negative = text < end && *text == '-';
    if (negative) text++;
    double digits = 0.0;
    int exponent = 0;
    for (bool fraction = false; text < end && ((*text >= '0' && *text <= '9') || *text == '.'); text++) {
        if (*text == '.') {
            fraction = true;
        } else {
            digits = digits * 10.0 + (*text - '0');
            exponent -= fraction;
        }
    }
    if (text < end && (*text == 'e' || *text == 'E')) {
        const bool shrinks = ++text < end && *text == '-';
        if (text < end && (*text == '-' || *text == '+')) text++;
        int given = 0;
        for (; text < end && *text >= '0' && *text <= '9'; text++) given = given * 10 + (*text - '0');
        exponent += shrinks ? -given : given;
    }
    const double power = power_of_ten(exponent), value = exponent < 0 ? digits / power : digits * power;
    return negative ? -value : value;
}

// Where the value of a name begins; null if the object does not have it.
static const char *find(const char *json, const char *end, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = json; at + length + 3 < end; at++) {
        if (*at != '"' || memcmp(at + 1, name, length) != 0 || at[length + 1] != '"') continue;
        for (at += length + 2; at < end && (*at == ':' || *at == ' '); at++) continue;
        return at;
    }
    return NULL;
}

static const char *out_of_bounds(const parameter *of, const char *value, const char *end, const char *side, double bound) {
    const char *stop = value;
    while (stop < end && *stop != ',' && *stop != '}') stop++;
    written = 0;
    say_text("`");
    say_text(of->name);
    say_text("` is ");
    say(value, (size_t)(stop - value));
    say_text(", and must be ");
    say_text(side);
    say_bound(bound);
    return message;
}

const char *set_parameters(const char *json, size_t length) {
    const char *end = json + length;
    for (size_t i = 0; i < PLUGIN.parameter_count; i++) {
        const parameter *each = &PLUGIN.parameters[i];
        const char *value = find(json, end, each->name);
        if (!value) continue;
        if (each->boolean) *each->boolean = *value == 't';
        if (!each->number) continue;
        const double given = number(value, end);
        if (each->minimum && given < *each->minimum) return out_of_bounds(each, value, end, "at least ", *each->minimum);
        if (each->maximum && given > *each->maximum) return out_of_bounds(each, value, end, "at most ", *each->maximum);
        *each->number = given;
    }
    return NULL;
}
