/* layout.c: see layout.h. */
#include "layout.h"

#include <semaphore.h>

enum { PAGES_MIN = 64 };

static int
section_pages(uint64_t bytes, uint32_t *pages)
{
    /* One more: page 0 is never handed out. */
    uint64_t count = round_up(bytes, PAGE_SIZE_SHM) / PAGE_SIZE_SHM + 1;

    if (bytes > (uint64_t)PAGES_MAX * PAGE_SIZE_SHM || count < PAGES_MIN || count > PAGES_MAX) {
        return ASHM_BAD_ARGUMENT;
    }
    *pages = (uint32_t)count;
    return 0;
}

int
layout_map(uint64_t message_memory, uint64_t group_memory, section_map *map)
{
    section_map m = {0};
    uint64_t at = PAGE_SIZE_SHM;
    int rc;

    if ((rc = section_pages(message_memory, &m.section[MESSAGES].count)) != 0 ||
        (rc = section_pages(group_memory, &m.section[TABLES].count)) != 0) {
        return rc;
    }
#define SECTION(field, bytes)                                                                  \
    do {                                                                                       \
        m.field = at;                                                                          \
        at += round_up(bytes, PAGE_SIZE_SHM);                                                  \
    } while (0)
    SECTION(commons, COMMONS * sizeof(mailbox_shm));
    SECTION(waitlists, COMMONS * ASHM_SLOTS * sizeof(waitlist_shm));
    SECTION(slots, ASHM_SLOTS * sizeof(slot_shm));
    for (int i = 0; i < SECTIONS; i++) {
        SECTION(section[i].records, m.section[i].count * sizeof(page_shm));
        SECTION(section[i].pages, (uint64_t)m.section[i].count * PAGE_SIZE_SHM);
    }
#undef SECTION
    m.size = at;
    *map = m;
    return 0;
}

uint64_t
layout_signature(void)
{
    const uint32_t facts[] = {
        ASHM_LAYOUT_VERSION,
        0x01020304, /* byte order, once stored */
        sizeof(void *),
        sizeof(sem_t),
        sizeof(header_shm),
        sizeof(slot_shm),
        sizeof(mailbox_shm),
        sizeof(channel_shm),
        sizeof(group_shm),
        sizeof(member_shm),
        sizeof(waiter_shm),
        sizeof(page_shm),
        ASHM_SLOTS,
        COMMONS,
        LANES,
        LOG_ENTRIES,
        BROADCASTS,
        FILTER_BUCKETS,
        ASHM_SEMAPHORES,
        ASHM_NAME_MAX,
        ASHM_CLIENT_LENGTH,
#ifdef __GLIBC__
        1,
#else
        0, /* another libc's semaphores have another shape */
#endif
    };
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        sum = (sum ^ facts[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}
