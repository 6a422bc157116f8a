// A reward for swift-host in C: it judges answers.
#ifndef SWIFT_REWARD_H
#define SWIFT_REWARD_H

#include "reward_plugin.h"

#define WORLD(name) reward_plugin_##name

#include "swift_plugin.h"

// An answer: its `text`, `token_ids`, whether it `finished` by itself, and `messages_json`, the conversation that it answers.
typedef exports_swift_plugin_reward_completion_t completion;

// Defined by the plugin: judges an answer. False if the reward does not apply to it.
bool score(const completion *answer, double *reward);

// A column of the row that is answered: what a string says, and anything else as JSON. False if there is none. It lasts until
// the end of the call.
bool column(const completion *answer, const char *name, text *found);
// Whether a text has another one in it.
bool contains(text whole, text part);

#endif
