/*
 * names.h: which names are allowed.
 *
 * Channel layer specification, "Strings and Unicode": ASCII letters and digits, '-',
 * '_', '.'; in a channel also at most one '!' (after at least one other character) and
 * at most one '?'. Up to ASHM_NAME_MAX bytes.
 */
#ifndef ASHM_NAMES_H
#define ASHM_NAMES_H

#include <stdbool.h>
#include <stddef.h>

bool names_is_channel(const char *name, size_t length);
bool names_is_group(const char *name, size_t length);

#endif
