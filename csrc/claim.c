/* claim.c: see claim.h. Model: docs/models/lock.pml. */
#include "claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doorbell.h"
#include "linger.h"
#include "pages.h"
#include "reap.h"

/* ---- formatting ---- */

/* The shared locks have a semaphore each; the processes' mailboxes share the rest. */
enum { SEMAPHORE_MEMORY, SEMAPHORE_COMMONS, SEMAPHORE_SLOTS = 3 };

static uint32_t
semaphore_of(uint32_t mailbox)
{
    if (mailbox < COMMONS) {
        return SEMAPHORE_COMMONS + mailbox % (SEMAPHORE_SLOTS - SEMAPHORE_COMMONS);
    }
    return SEMAPHORE_SLOTS + (mailbox - COMMONS) % (ASHM_SEMAPHORES - SEMAPHORE_SLOTS);
}

static int
resize(int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
}

/* The object is ours alone (the format lock) and all zero. */
static int
format(ashm *a, const ashm_options *options)
{
    header_shm *h = a->header;
    int rc;

    if ((rc = segment_allocate(a, 0, a->map.slots)) != 0) {
        return rc;
    }
    if (SABOTAGE(MAGIC_FIRST)) {
        store_release64(&h->magic, SEGMENT_MAGIC);
    }
    h->signature = layout_signature();
    h->size = a->map.size;
    h->message_memory = options->message_memory;
    h->group_memory = options->group_memory;
    memcpy(h->hash_key, options->random, sizeof h->hash_key);
    memcpy(&h->segment_id, options->random + sizeof h->hash_key, sizeof h->segment_id);
    h->memory_lock.semaphore = SEMAPHORE_MEMORY;
    for (int i = 0; i < SECTIONS; i++) {
        h->arenas[i].used = 1; /* page 0 is none */
    }
    for (uint32_t i = 0; i < COMMONS; i++) {
        handle_mailbox(a, i)->lock.semaphore = semaphore_of(i);
    }
    store_release64(&h->magic, SEGMENT_MAGIC);
    return 0;
}

/* ---- opening ---- */

/* What a formatted segment says of itself, read before it is mapped. */
static int
read_header(int fd, header_shm *h, uint64_t *file_size)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return ASHM_FOREIGN;
    }
    memset(h, 0, sizeof *h);
    n = pread(fd, h, sizeof *h, 0);
    if (n < 0) {
        return errno;
    }
    *file_size = (uint64_t)st.st_size;
    return 0;
}

static int
check_header(const header_shm *h, uint64_t file_size, section_map *map)
{
    if (load_relaxed64(&h->magic) != SEGMENT_MAGIC) {
        return ASHM_FOREIGN;
    }
    if (h->signature != layout_signature()) {
        return ASHM_LAYOUT;
    }
    if (layout_map(h->message_memory, h->group_memory, map) != 0 || h->size != map->size ||
        file_size < map->size) {
        return ASHM_CORRUPT;
    }
    return 0;
}

int
claim_inspect(int fd, section_map *map)
{
    header_shm found;
    uint64_t file_size;
    int rc = read_header(fd, &found, &file_size);

    if (rc == 0 && load_relaxed64(&found.magic) == 0) {
        rc = ENOENT;
    }
    return rc != 0 ? rc : check_header(&found, file_size, map);
}

static int
map_segment(ashm *a)
{
    a->base = mmap(NULL, a->map.size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    if (a->base == MAP_FAILED) {
        a->base = NULL;
        return errno;
    }
    a->header = (header_shm *)a->base;
    return 0;
}

/* Under the format lock. */
static int
map_or_format(ashm *a, const ashm_options *options)
{
    header_shm found;
    uint64_t file_size = 0;
    bool in_use;
    int rc;

    if ((rc = read_header(a->fd, &found, &file_size)) != 0) {
        return rc;
    }
    if (load_relaxed64(&found.magic) != 0) {
        rc = check_header(&found, file_size, &a->map);
        return rc != 0 ? rc : map_segment(a);
    }
    /* Not half-made, but damaged. Those who use it would be lost with what is cut off. */
    if ((rc = life_find(a->fd, BYTE_LIFE(0), ASHM_SLOTS, &in_use)) != 0 || in_use) {
        return rc != 0 ? rc : ASHM_CORRUPT;
    }
    /* Empty, or left half-made: begin with zeros again. */
    if ((rc = layout_map(options->message_memory, options->group_memory, &a->map)) != 0 ||
        (rc = resize(a->fd, 0)) != 0 || (rc = resize(a->fd, a->map.size)) != 0 ||
        (rc = map_segment(a)) != 0) {
        return rc;
    }
    return format(a, options);
}

/* Without a name it is a private one, and made here. */
static int
open_object(ashm *a, const char *name)
{
    char made[OBJECT_PRIVATE_NAME];
    int fd, rc;

    rc = name != NULL ? object_find(name, O_RDWR, &fd) : object_make_private(made, &fd);
    if (rc != 0) {
        return rc;
    }
    if ((rc = object_identify(fd, &a->id)) != 0) {
        close(fd);
        return rc;
    }
    a->fd = fd;
    a->name = strdup(name != NULL ? name : made);
    return a->name != NULL ? 0 : ENOMEM;
}

static int
open_semaphores(ashm *a)
{
    char name[300];

    for (int i = 0; i < ASHM_SEMAPHORES; i++) {
        sem_t *semaphore;

        snprintf(name, sizeof name, "%s:%d", a->name, i);
        semaphore = sem_open(name, 0);
        if (semaphore == SEM_FAILED) {
            return errno;
        }
        a->semaphores[i] = semaphore;
    }
    return 0;
}

/* Of a private segment. */
static int
make_semaphores(ashm *a)
{
    void *map = mmap(NULL, sizeof *a->unnamed, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED) {
        return errno;
    }
    a->unnamed = map;
    for (int i = 0; i < ASHM_SEMAPHORES; i++) {
        if (sem_init(&a->unnamed->semaphores[i], 1, 0) != 0) {
            return errno;
        }
        a->semaphores[i] = &a->unnamed->semaphores[i];
    }
    return 0;
}

/* Those of a private segment are words of its mapping, and need no end. */
static void
close_semaphores(ashm *a)
{
    if (a->unnamed != NULL) {
        munmap(a->unnamed, sizeof *a->unnamed);
        return;
    }
    for (int i = 0; i < ASHM_SEMAPHORES; i++) {
        if (a->semaphores[i] != NULL) {
            sem_close(a->semaphores[i]);
        }
    }
}

static void *
private_pages(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

static int
make_private(ashm *a)
{
    if ((a->own = private_pages(PAGE_SIZE_SHM)) == NULL ||
        (a->scratch = private_pages((LANES + 1) * PAGE_SIZE_SHM)) == NULL) {
        return errno;
    }
    if (SABOTAGE(NO_WIPE)) {
        return 0;
    }
    return madvise(a->own, PAGE_SIZE_SHM, MADV_WIPEONFORK) == 0 ? 0 : errno;
}

static int
check_options(const ashm_options *options)
{
    const char *name = options->name;
    section_map map;

    if ((name != NULL && (name[0] != '/' || strlen(name) > 200)) ||
        options->max_message_size == 0 || options->max_message_size > UINT32_MAX / 2) {
        return ASHM_BAD_ARGUMENT;
    }
    return layout_map(options->message_memory, options->group_memory, &map);
}

int
claim_open(const ashm_options *options, ashm **handle)
{
    ashm *a;
    int guard, rc;

    if ((rc = check_options(options)) != 0) {
        return rc;
    }
    if ((a = calloc(1, sizeof *a)) == NULL) {
        return ENOMEM;
    }
    a->fd = -1;
    a->lock_wait_ns = options->lock_wait_ns;
    a->max_message_size = options->max_message_size;
    a->clock_offset = clock_namespace_offset();
    memcpy(a->random, options->random, sizeof a->random);
    if ((rc = make_private(a)) != 0 || (rc = open_object(a, options->name)) != 0 ||
        (rc = options->name != NULL ? open_semaphores(a) : make_semaphores(a)) != 0 ||
        (rc = kernel_lock(a->name, &a->id, BYTE_FORMAT, options->lock_wait_ns, &guard)) != 0) {
        goto out;
    }
    rc = map_or_format(a, options);
    kernel_unlock(guard, BYTE_FORMAT);
    if (rc == 0) {
        memcpy(a->hash_key, a->header->hash_key, sizeof a->hash_key);
        a->segment_id = a->header->segment_id;
        *handle = a;
    }
out:
    if (rc != 0) {
        claim_close(a);
    }
    return rc;
}

/* ---- claiming ---- */

/* The slot's memory, once. Two may come here at a time; they write the same. */
static int
prepare_slot(ashm *a, uint32_t slot)
{
    uint32_t high = handle_slots_high(a);
    int rc;

    if (slot < high) {
        return 0;
    }
    rc = segment_allocate(a, a->map.slots + slot * sizeof(slot_shm), sizeof(slot_shm));
    if (rc != 0) {
        return rc;
    }
    handle_mailbox(a, COMMONS + slot)->lock.semaphore = semaphore_of(COMMONS + slot);
    return 0;
}

static void
raise_slots_high(ashm *a, uint32_t high)
{
    uint32_t seen = handle_slots_high(a);

    while (seen < high &&
           !atomic_compare_exchange_weak_explicit(&a->header->slots_high, &seen, high,
                                                  memory_order_acq_rel, memory_order_acquire)) {
    }
}

/* Where /proc is not mounted it stays empty. */
static void
read_command(char command[ASHM_COMMAND_MAX + 1])
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, command, ASHM_COMMAND_MAX);

    if (fd >= 0) {
        close(fd);
    }
    n = n < 0 ? 0 : n;
    while (n > 0 && command[n - 1] == '\0') {
        n--;
    }
    for (ssize_t i = 0; i < n; i++) {
        command[i] = command[i] == '\0' ? ' ' : command[i]; /* between two arguments */
    }
    memset(command + n, 0, (size_t)(ASHM_COMMAND_MAX + 1 - n));
}

/* With the life of the slot ours: make it a slot of ours. */
static int
move_in(ashm *a, uint32_t index)
{
    slot_shm *slot = handle_slot(a, index);
    own_process *own = a->own;
    char command[ASHM_COMMAND_MAX + 1];
    uint64_t random[2];
    int guard, rc = 0;

    if (atomic_load_explicit(&slot->state, memory_order_acquire) != SLOT_FREE) {
        /* Not waited for: as long as we hold its life, the dead holder seems alive to whoever
         * has the recovery lock and may need one of its locks. */
        if ((rc = kernel_lock(a->name, &a->id, BYTE_RECOVERY,
                              SABOTAGE(GREEDY_CLAIM) ? a->lock_wait_ns : 0, &guard)) != 0) {
            return rc;
        }
        rc = reap_slot(a, index);
        kernel_unlock(guard, BYTE_RECOVERY);
        if (rc != 0) {
            return rc;
        }
    }
    memcpy(random, a->random + 16, sizeof random);
    own->slot = index;
    own->generation =
        atomic_load_explicit(&slot->generation, memory_order_relaxed) % UINT32_MAX + 1;
    slot->pid = (uint32_t)getpid();
    slot->nonce = (uint32_t)(random[0] + (uint64_t)getpid() + own->generation) & 0xffff;
    slot->since = handle_now(a);
    read_command(command);
    memcpy(slot->command, command, sizeof command); /* nobody knows the slot yet */
    /* So that what we count can be told from what earlier holders did. */
    lanes_sum(slot, &slot->before);
    store_relaxed64(&slot->bell, 0);
    if (!SABOTAGE(OLD_NEWS)) {
        atomic_store_explicit(&slot->room, 0, memory_order_relaxed);
        store_relaxed64(&slot->changed, 0);
    }
    if (SABOTAGE(GENERATION_LATE)) {
        atomic_store_explicit(&slot->state, SLOT_TAKEN, memory_order_release);
    }
    atomic_store_explicit(&slot->generation, own->generation, memory_order_release);
    atomic_store_explicit(&slot->state, SLOT_TAKEN, memory_order_release);
    return 0;
}

/* 0: it is ours. EAGAIN: somebody lives there. ASHM_BUSY: it could not be reaped now. */
static int
try_slot(ashm *a, uint32_t slot)
{
    void *life;
    int rc;

    if ((rc = prepare_slot(a, slot)) != 0 ||
        (rc = life_claim(a->name, &a->id, BYTE_LIFE(slot), &life)) != 0) {
        return rc;
    }
    raise_slots_high(a, slot + 1);
    if ((rc = move_in(a, slot)) != 0) {
        life_release(life);
        return rc;
    }
    a->life = life;
    return 0;
}

static bool
seems_taken(const ashm *a, uint32_t slot)
{
    return slot < handle_slots_high(a) &&
           atomic_load_explicit(&handle_slot(a, slot)->state, memory_order_relaxed) !=
               SLOT_FREE;
}

/* Those that were given back come first, then those whose holder may be dead. */
static int
find_slot(ashm *a)
{
    int result = ASHM_NO_SLOT;

    for (int taken = 0; taken <= 1; taken++) {
        for (uint32_t i = 0; i < ASHM_SLOTS; i++) {
            int rc;

            if (seems_taken(a, i) != (taken != 0)) {
                continue;
            }
            if ((rc = try_slot(a, i)) == ASHM_BUSY) {
                result = rc;
            } else if (rc != EAGAIN) {
                return rc;
            }
        }
    }
    return result;
}

static int
wait_for_slot(ashm *a)
{
    const struct timespec pause = {.tv_nsec = NS_PER_MS / 2};
    uint64_t deadline = clock_monotonic() + a->lock_wait_ns;
    int rc;

    while ((rc = find_slot(a)) == ASHM_BUSY && clock_monotonic() < deadline) {
        nanosleep(&pause, NULL);
    }
    return rc;
}

int
claim_slot_slow(ashm *a)
{
    own_process *own = a->own;
    int rc = 0;

    linger();
    pthread_mutex_lock(&own->claiming);
    if (atomic_load_explicit(&a->closing, memory_order_seq_cst) != 0) {
        rc = ASHM_CLOSED;
    } else if (atomic_load_explicit(&own->attached, memory_order_relaxed) == 0) {
        if ((rc = wait_for_slot(a)) == 0) {
            atomic_store_explicit(&own->attached, 1, memory_order_release);
        }
    }
    pthread_mutex_unlock(&own->claiming);
    return rc;
}

/* ---- closing ---- */

/* Let the operations that are under way end. */
static int
wait_for_lanes(ashm *a)
{
    const struct timespec pause = {.tv_nsec = NS_PER_MS / 10};
    uint64_t deadline = clock_monotonic() + a->lock_wait_ns;

    while (atomic_load_explicit(&a->own->lanes, memory_order_seq_cst) != 0) {
        if (clock_monotonic() > deadline) {
            return ASHM_BUSY;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int
give_slot_back(ashm *a)
{
    int guard, rc;

    if ((rc = kernel_lock(a->name, &a->id, BYTE_RECOVERY, a->lock_wait_ns, &guard)) == 0) {
        rc = reap_slot(a, a->own->slot);
        kernel_unlock(guard, BYTE_RECOVERY);
    }
    return rc;
}

static void
close_descriptor(ashm *a)
{
    if (a->fd >= 0 && object_is(a->fd, &a->id)) {
        close(a->fd);
    }
    a->fd = -1;
}

/* The bell's descriptor stays until the handle is closed: another thread's event loop may not
 * have been told yet that it is not to watch it. Its name goes here, too: nobody reaps the
 * slots of a segment that has lost its own. */
static void
detach(ashm *a)
{
    own_process *own = a->own;

    if (atomic_load_explicit(&own->attached, memory_order_acquire) != 0) {
        doorbell_unlink(a, own->slot, own->generation);
        life_release(a->life);
        atomic_store_explicit(&own->attached, 0, memory_order_release);
    }
    close_descriptor(a);
}

int
claim_leave(ashm *a)
{
    own_process *own = a->own;
    int rc;

    /* Sequential: see lane_take(). */
    atomic_store_explicit(&a->closing, 1, memory_order_seq_cst);
    pthread_mutex_lock(&own->claiming);
    if ((rc = wait_for_lanes(a)) == 0) {
        if (atomic_load_explicit(&own->attached, memory_order_acquire) != 0) {
            rc = give_slot_back(a);
        }
        if (rc != ASHM_BUSY) { /* what else it may be, waiting will not help */
            detach(a);
            rc = 0;
        }
    }
    pthread_mutex_unlock(&own->claiming);
    return rc;
}

void
claim_abandon(ashm *a)
{
    own_process *own = a->own;

    pthread_mutex_lock(&own->claiming);
    /* With an operation under way the slot is not for others yet: it goes with the handle. */
    if (atomic_load_explicit(&own->lanes, memory_order_seq_cst) == 0) {
        detach(a);
    }
    pthread_mutex_unlock(&own->claiming);
}

void
claim_close(ashm *a)
{
    if (a->own != NULL) {
        (void)claim_leave(a);
        claim_abandon(a);
        doorbell_close(a);
        munmap(a->own, PAGE_SIZE_SHM);
    }
    if (a->scratch != NULL) {
        munmap(a->scratch, (LANES + 1) * PAGE_SIZE_SHM);
    }
    close_semaphores(a);
    if (a->base != NULL) {
        munmap(a->base, a->map.size);
    }
    close_descriptor(a);
    free(a->name);
    free(a);
}
