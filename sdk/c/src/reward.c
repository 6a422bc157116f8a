// What the contract asks of a reward.

#include "swift_reward.h"

#include <stdlib.h>
#include <string.h>

bool contains(text whole, text part) {
    for (size_t at = 0; at + part.len <= whole.len; at++)
        if (memcmp(whole.ptr + at, part.ptr, part.len) == 0) return true;
    return false;
}

// The number of four hexadecimal digits.
static uint32_t hexadecimal(const uint8_t *digits) {
    uint32_t number = 0;
    for (int i = 0; i < 4; i++) number = number << 4 | (digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);
    return number;
}

// Writes a character in UTF-8, and gives where it ends.
static uint8_t *encoded(uint8_t *to, uint32_t character) {
    static const uint8_t FIRST[] = {0, 0xC0, 0xE0, 0xF0};
    const int more = character < 0x80 ? 0 : character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    *to++ = (uint8_t)(FIRST[more] | character >> 6 * more);
    for (int i = more - 1; i >= 0; i--) *to++ = (uint8_t)(0x80 | (character >> 6 * i & 0x3F));
    return to;
}

// What a string of JSON says, which is never longer than it is written. The host writes valid JSON.
static text unquoted(text json) {
    static const char ESCAPES[] = "n\nt\tr\rb\bf\f";
    text made = {lasting(json.len), 0};
    uint8_t *to = made.ptr;
    for (const uint8_t *at = json.ptr + 1, *end = json.ptr + json.len - 1; at < end; at++) {
        if (*at != '\\') {
            *to++ = *at;
        } else if (*++at == 'u') {
            uint32_t character = hexadecimal(at + 1);
            at += 4;
            // Half of a pair, which is one character beyond 16 bits.
            if (character >> 10 == 0x36 && at + 6 < end) {
                character = 0x10000 + ((character & 0x3FF) << 10 | (hexadecimal(at + 3) & 0x3FF));
                at += 6;
            }
            to = encoded(to, character);
        } else {
            *to = *at;
            for (const char *each = ESCAPES; *each; each += 2)
                if (*at == (uint8_t)each[0]) *to = (uint8_t)each[1];
            to++;
        }
    }
    made.len = (size_t)(to - made.ptr);
    return made;
}

bool column(const completion *answer, const char *name, text *found) {
    for (size_t i = 0; i < answer->columns.len; i++) {
        const text its = answer->columns.ptr[i].f0, json = answer->columns.ptr[i].f1;
        if (its.len != strlen(name) || memcmp(its.ptr, name, its.len) != 0) continue;
        *found = json.len > 1 && *json.ptr == '"' ? unquoted(json) : json;
        return true;
    }
    return false;
}

bool exports_swift_plugin_reward_score(exports_swift_plugin_reward_list_completion_t *answers,
                                       reward_plugin_list_option_f64_t *scores, text *error) {
    begin_call();
    scores->len = answers->len;
    scores->ptr = malloc(answers->len * sizeof *scores->ptr);
    if (!scores->ptr) abort();
    for (size_t i = 0; i < answers->len && !has_failed(); i++)
        scores->ptr[i].is_some = score(&answers->ptr[i], &scores->ptr[i].val);
    exports_swift_plugin_reward_list_completion_free(answers);
    end_call();
    if (!has_failed()) return true;
    free(scores->ptr);
    *error = FAILURE.words;
    return false;
}
