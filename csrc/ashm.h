/*
 * ashm.h: the public API of the asgi_shm core.
 *
 * A segment in POSIX shared memory holds channels, queues, groups and messages
 * for every process of one machine that opens it. A process opens the segment
 * (ashm_open), claims a slot in it at its first operation, and gives the slot
 * back with ashm_close. Any process may be killed at any instruction: the
 * others undo its unfinished transaction and go on.
 *
 * Rules for callers
 *  - Functions return 0, a positive errno, or one of the negative codes below.
 *    Out-parameters are written only on success, except where stated.
 *  - A handle may be used by any number of threads at once.
 *  - After fork() the child uses the handle as a new process of its own: its
 *    first call claims another slot. ashm_close() in the child leaves the
 *    parent's slot alone.
 *  - Channel and group names are bytes with a length; they need no terminator.
 *  - Times are nanoseconds. An expiry is a duration; ASHM_NEVER means none.
 *
 * Caveats
 *  - Do not truncate the shared-memory object while it is in use.
 *  - The object must lie on a local file system with open-file-description
 *    locks (Linux: /dev/shm).
 */
#ifndef ASHM_H
#define ASHM_H

#include <stddef.h>
#include <stdint.h>

#define ASHM_API __attribute__((visibility("default")))

/* Everything between the two markers is read by cffi as well as by the C
 * compiler; build_ffi.py drops the word ASHM_API and comments. */
/* <cffi> */

typedef struct ashm ashm;

enum {
    /* ordinary outcomes */
    ASHM_EMPTY = -1,         /* receive: no message waits */
    ASHM_FULL = -2,          /* send: the channel holds `capacity` messages */
    ASHM_MESSAGES_FULL = -3, /* the messages section is used up */
    ASHM_TABLES_FULL = -4,   /* the tables section is used up */
    ASHM_SHM_FULL = -5,      /* the file system behind the segment is full */
    ASHM_TOO_LARGE = -6,     /* the message exceeds max_message_size */
    ASHM_BUFFER = -7,        /* receive: the buffer is too small; *length is written */
    ASHM_BUSY = -8,          /* a lock was not had in time: see ashm_blame(). Nothing was
                              * done that doing it once more would double. */
    ASHM_NO_SLOT = -9,       /* every slot belongs to a living process */
    /* state of the segment */
    ASHM_CORRUPT = -20,      /* an invariant does not hold */
    ASHM_LAYOUT = -21,       /* formatted by an incompatible build */
    ASHM_FOREIGN = -22,      /* the object is not a segment of ours */
    ASHM_REPLACED = -23,     /* the name leads to another object, or to none */
    /* misuse */
    ASHM_BAD_NAME = -40,     /* a name has a wrong length or character */
    ASHM_BAD_ARGUMENT = -41, /* an option or argument is out of range */
    ASHM_NOT_OWNER = -42,    /* receive: the channel belongs to another process */
    ASHM_CLOSED = -43        /* the handle has left, or is NULL */
};

enum {
    ASHM_LAYOUT_VERSION = 2, /* of what lies in a segment; part of the objects' names */
    ASHM_NAME_MAX = 127,     /* bytes in a channel or group name */
    ASHM_CLIENT_LENGTH = 16, /* bytes of what ashm_client() writes */
    ASHM_COMMAND_MAX = 127,  /* bytes of a process's command line that others can see */
    ASHM_SEMAPHORES = 16,    /* named semaphores of a segment: <name>:0 ... */
    ASHM_SLOTS = 256,        /* processes attached at once */
    ASHM_CAPACITY_MAX = 262144
};

#define ASHM_NEVER 0xffffffffffffffff
#define ASHM_CHANGED 0x8000000000000000 /* cookies from here on: see ashm_watch() */

typedef struct {
    const char *name;         /* of the shared-memory object, "/..."; NULL: a private one */
    uint64_t message_memory;  /* bytes; used when the segment is formatted */
    uint64_t group_memory;    /* bytes; likewise */
    uint64_t max_message_size; /* bytes of one message */
    uint64_t lock_wait_ns;    /* how long an operation waits for locks, in all */
    unsigned char random[32]; /* from the system's generator, fresh at each open */
} ashm_options;

/* Open the existing object `name` and its existing semaphores, and format the
 * segment if nobody has. Claims no slot. Errors: errno of the system calls
 * (ENOENT: no such object), ASHM_LAYOUT, ASHM_FOREIGN, ASHM_CORRUPT,
 * ASHM_SHM_FULL, ASHM_BAD_ARGUMENT.
 *
 * A private segment is made by this call and has no name: it is for this process and
 * for children forked from it, which use the handle, and goes with the last of them.
 * It needs /proc (without: ENOENT). ASHM_REPLACED in an operation says that the
 * program has closed its descriptor. */
ASHM_API int ashm_open(const ashm_options *options, ashm **handle);

/* What ashm_observe() takes; for a private segment that is valid in this process only. */
ASHM_API const char *ashm_name(const ashm *handle);

/* Give the slot back, dropping its channels and memberships. Waits for operations
 * that other threads have under way; later ones return ASHM_CLOSED. ASHM_BUSY: that
 * could not be finished in time. Call again; or call ashm_abandon(), after which the
 * other processes do it as for one that has died. */
ASHM_API int ashm_leave(ashm *handle);
ASHM_API void ashm_abandon(ashm *handle);

/* Leave or abandon, if that was not done, and unmap. No thread may use the handle any
 * more. */
ASHM_API void ashm_close(ashm *handle);

/* The message_memory and group_memory that the segment was formatted with. */
ASHM_API void ashm_sizes(const ashm *handle, uint64_t sizes[2]);

/* Claim a slot now rather than at the first operation. */
ASHM_API int ashm_attach(ashm *handle);

/* The <client> part of this process's channel names, ASHM_CLIENT_LENGTH bytes. */
ASHM_API int ashm_client(ashm *handle, char *client);

/* Append a message to a channel. `capacity` applies to this channel. A message
 * to a channel of a process that is gone is dropped and counted: 0. */
ASHM_API int ashm_send(ashm *handle, const char *channel, size_t channel_length,
                       const void *body, size_t length, uint64_t expiry, uint32_t capacity);

enum {
    ASHM_WAIT = 1,  /* wait: if there is no message, count this process as waiting */
    ASHM_OTHERS = 2, /* with ASHM_WAIT: others in this process wait for the channel, too */
    ASHM_STAY = 4    /* with ASHM_WAIT: go on waiting if it costs nobody anything */
};

typedef struct {
    size_t length;         /* bytes of the body */
    uint32_t more;         /* messages that remain in the channel */
    uint32_t waiting;      /* 1: this process goes on waiting for it, and it is empty */
    uint32_t shared;       /* 1: members of a group are yet to receive the same; a hint */
    uint32_t name_length;
    char name[ASHM_NAME_MAX + 1]; /* the full name of the channel it was in */
} ashm_received;

/* Where the messages of a channel are: found out at the first use, for whoever comes back to
 * it. All zeros at first, and then for one name alone; in a fork, or after an ashm_open(), it
 * is found out anew. */
typedef struct {
    uint64_t segment; /* which, by the key of its hashes */
    uint32_t known;   /* 1: the others are */
    uint32_t mailbox, generation, hash;
} ashm_way;

/* Take the oldest message of a channel, or of all channels that begin with the
 * name if it ends at its '!'. ASHM_BUFFER takes nothing and writes out->length.
 *
 * With ASHM_WAIT an empty channel is marked as awaited and the doorbell armed:
 * when a message arrives the descriptor of ashm_bell() becomes readable, and
 * ashm_ready() gives `cookie` (one for each awaited channel; not 0). If the doorbell
 * was rung meanwhile the return value is ASHM_EMPTY and out->more is 1: call
 * ashm_ready() without waiting for the descriptor.
 *
 * A message taken with ASHM_WAIT ends this process's wait for the channel, unless
 * ASHM_OTHERS says that it goes on; or ASHM_STAY, where the channel is this process's own, so
 * that nobody else can want its turn, and empty now. One taken without leaves it as it is. A
 * wait that is given up, or for which the doorbell could not be made, ends with
 * ashm_unwait(). */
ASHM_API int ashm_receive(ashm *handle, const char *channel, size_t channel_length,
                          unsigned flags, uint64_t cookie, void *buffer, size_t size,
                          ashm_received *out);

/* The same, by a way that no other thread uses meanwhile. Once it is known, whether the name is
 * a good one is not looked at again. */
ASHM_API int ashm_receive_by(ashm *handle, ashm_way *way, const char *channel,
                             size_t channel_length, unsigned flags, uint64_t cookie,
                             void *buffer, size_t size, ashm_received *out);

enum { ASHM_ROOM = 0 }; /* a cookie: see below */

/* ASHM_FULL: the channel holds `capacity` messages or more, and this process waits for room
 * in it. When there may be some ashm_ready() gives the cookie ASHM_ROOM; all who wait for
 * room, in whatever channel, are then to send, or to call this, again. *rung is 1 if it was
 * rung meanwhile, as with ashm_receive(). 0: there is room. Nothing undoes it: who does not
 * want to send any more is rung once for nothing. */
ASHM_API int ashm_await_room(ashm *handle, const char *channel, size_t channel_length,
                             uint32_t capacity, int *rung);

/* Stop waiting for a channel; another process that waits for it is woken in
 * this one's stead if a message is there. */
ASHM_API int ashm_unwait(ashm *handle, const char *channel, size_t channel_length);

/* The doorbell's descriptor, for poll(): owned by the handle, made on first use
 * and again after fork(). Whoever finds it readable calls ashm_ready(). */
ASHM_API int ashm_bell(ashm *handle, int *fd);

/* Disarm the doorbell, settle what was broadcast to this process, and write the
 * cookies of up to `size` awaited channels that have a message. *count == size:
 * call again. ASHM_BUSY: *count is written as well; call again later. */
ASHM_API int ashm_ready(ashm *handle, uint64_t *cookies, size_t size, size_t *count);

/* Arm the doorbell. *pending is 1 if something arrived since ashm_ready(): the
 * bell is then not armed, call ashm_ready() again. */
ASHM_API int ashm_arm(ashm *handle, int *pending);

/* Groups. `capacity` is the channel's, for messages that reach it through the
 * group; `expiry` is the membership's. */
ASHM_API int ashm_group_add(ashm *handle, const char *group, size_t group_length,
                            const char *channel, size_t channel_length, uint64_t expiry,
                            uint32_t capacity);
ASHM_API int ashm_group_discard(ashm *handle, const char *group, size_t group_length,
                                const char *channel, size_t channel_length);

/* From now on ashm_ready() gives the cookie ASHM_CHANGED | *bucket whenever a channel may have
 * joined or left the group, or another one that has the same bucket: ask ashm_group_members(),
 * first after this call, and again after each cookie, and no change that lasts is missed.
 * Watching a bucket twice is watching it once. */
ASHM_API int ashm_watch(ashm *handle, const char *group, size_t group_length, uint32_t *bucket);
ASHM_API int ashm_unwatch(ashm *handle, uint32_t bucket);

/* *gone is 1 if the channel belongs to a process that is not attached any more. */
ASHM_API int ashm_is_gone(ashm *handle, const char *channel, size_t channel_length, int *gone);

/* Which mailboxes a group send has reached: all zero to begin with. */
typedef struct {
    uint64_t bits[5];
} ashm_reached;

/* ASHM_BUSY: the members in some mailbox did not get the message. *reached, which is
 * written in no other case, says which did: call again with it for the others. */
ASHM_API int ashm_group_send(ashm *handle, const char *group, size_t group_length,
                             const void *body, size_t length, uint64_t expiry,
                             ashm_reached *reached);

typedef struct {
    uint64_t delivered; /* to so many members */
    uint64_t full;      /* so many missed it, for want of room */
} ashm_delivery;

/* As ashm_group_send(), but for the members in `exclude`, where each name is a byte with its
 * length and that many bytes. With `report` it is delivered before the call returns, rather
 * than by each process for itself, and what became of it is added to *report; not known is
 * what became of it in a mailbox whose lock was not had. */
ASHM_API int ashm_group_send_but(ashm *handle, const char *group, size_t group_length,
                                 const void *body, size_t length, uint64_t expiry,
                                 const char *exclude, size_t exclude_length,
                                 ashm_reached *reached, ashm_delivery *report);

/* Remove a channel from every group that it is in. */
ASHM_API int ashm_discard_all(ashm *handle, const char *channel, size_t channel_length);

/* The channels that are in a group, one mailbox after another: *cursor is 0 at first and
 * ASHM_NEVER after the last. *count is how many are in `names`, each as a byte with its
 * length and that many bytes. ASHM_BUFFER: *cursor stays, and *size is what is needed.
 * Without `names` they are only counted. */
ASHM_API int ashm_group_members(ashm *handle, const char *group, size_t group_length,
                                uint64_t *cursor, char *names, size_t *size, size_t *count);

typedef struct {
    uint32_t pending; /* unread messages */
    uint32_t sent;    /* messages put into it, modulo 2^32, and */
    uint32_t full;    /* messages it was too full for, since it was last unused */
    uint64_t age;     /* of the oldest unread message */
} ashm_channel;

/* What is in a channel now. All zero for one that is not in use. */
ASHM_API int ashm_ask_channel(ashm *handle, const char *channel, size_t channel_length,
                              ashm_channel *out);

/* Drop every message and membership. Receivers that wait go on waiting. */
ASHM_API int ashm_flush(ashm *handle);

/* Maintenance, for whoever waits long: sweep what expired, reap dead processes,
 * notice that the segment was replaced (ASHM_REPLACED). Every operation calls it
 * as well when some time has passed. */
ASHM_API int ashm_tick(ashm *handle);

/* Sweep everything that has expired, at once. */
ASHM_API int ashm_sweep(ashm *handle);

/* Check every invariant without writing anything but lock words; waits for no
 * operation under way, so the counts that span sections are exact. On
 * ASHM_CORRUPT `report` says in a line what is wrong. */
ASHM_API int ashm_verify(ashm *handle, char *report, size_t size);

typedef struct {
    uint64_t segment_size;
    uint64_t message_memory;   /* bytes the segment was formatted with */
    uint64_t group_memory;
    uint64_t message_used;     /* bytes of pages in use */
    uint64_t group_used;
    uint64_t clock;            /* now, on the segment's clock */
    uint32_t attached;         /* slots in use */
    uint32_t slot;             /* this process's, or ASHM_SLOTS */
    uint64_t channels, groups, memberships, messages; /* records; queued messages */
    /* The counters: ashm_counters() says what each is. */
    uint64_t sent, received, full, expired;
    uint64_t sends, group_sends, receives, gone, unsent, rings, lock_waits, lock_wait_ns;
} ashm_info;

/* A counter, and where ashm_info has it. None ever falls. */
typedef struct {
    const char *name, *unit, *help;
    size_t offset;
} ashm_counter;

/* All of them; *count is how many. */
ASHM_API const ashm_counter *ashm_counters(size_t *count);

ASHM_API int ashm_get_info(ashm *handle, ashm_info *info);

/* Messages that nobody got, for whoever tells of them: counters `full` and `expired` of this
 * process's own channels, and of those of no process. Quick, whatever is in the segment. */
typedef struct {
    uint64_t own_full, own_expired, common_full, common_expired;
    uint32_t slot;  /* this process's */
    uint32_t first; /* no process has a lower one: it tells of the common ones */
} ashm_losses;

ASHM_API int ashm_get_losses(ashm *handle, ashm_losses *losses);

/* ---- looking in ----
 *
 * An observer opens a segment for reading alone: it claims no slot, takes no lock and wakes
 * nobody, so it may be of a user who may not write, and works whatever the processes do.
 * Each record that it gives was whole when it was read. But records are read one after
 * another while the segment is in use: figures need not be of one instant, what comes and
 * goes meanwhile may be missed, and what moves as its table grows may be given twice. What
 * has expired counts until somebody drops it, and what was sent to a group does not before
 * it is on its way to the members (ashm_seen_process.broadcasts).
 *
 * An observer is for one thread at a time. Lists are had in parts: *cursor is 0 at first and
 * ASHM_NEVER after the last; *count is how many were written. `size` must be at least 1. */
typedef struct ashm_observer ashm_observer;

/* ENOENT: there is no segment of that name, or nobody has formatted it yet; otherwise as
 * ashm_open(). */
ASHM_API int ashm_observe(const char *name, ashm_observer **observer);
ASHM_API void ashm_observe_end(ashm_observer *observer);

/* As ashm_get_info(); `slot` is ASHM_SLOTS. */
ASHM_API int ashm_see_info(ashm_observer *observer, ashm_info *info);

typedef struct {
    uint32_t pid;        /* as its own namespace sees it */
    uint32_t generation;
    uint32_t alive;      /* 0: it was killed, and nobody has looked after the segment since */
    uint32_t waiting;    /* channels that it waits for, or was just told of */
    uint32_t broadcasts; /* group messages that wait for their way to members in it */
    uint64_t pending;    /* unread messages in its own channels */
    uint64_t age;        /* since it claimed the slot */
    /* Counters since then: ashm_counters(). */
    uint64_t sends, group_sends, receives, gone, unsent, rings, lock_waits, lock_wait_ns;
    char command[ASHM_COMMAND_MAX + 1]; /* its command line, cut */
} ashm_seen_process;

/* ASHM_EMPTY: nobody has the slot. */
ASHM_API int ashm_see_process(ashm_observer *observer, uint32_t slot, ashm_seen_process *out);

typedef struct {
    uint32_t slot;     /* of the process whose channel it is; ASHM_SLOTS: anybody's */
    uint32_t pending;  /* unread messages */
    uint32_t capacity; /* 0: nobody has sent to it */
    uint32_t waiting;  /* processes that wait for it and were not told of a message */
    uint32_t sent;     /* messages put into it, modulo 2^32, as long as it was in use */
    uint32_t full;     /* messages that it was too full for, likewise */
    uint64_t age;      /* of the oldest unread message */
    char name[ASHM_NAME_MAX + 1];
} ashm_seen_channel;

ASHM_API int ashm_see_channels(ashm_observer *observer, uint64_t *cursor,
                               ashm_seen_channel *out, size_t size, size_t *count);

/* The part of a group whose members are channels of one process, or of anybody. */
typedef struct {
    uint32_t slot;
    uint32_t members;
    uint32_t full; /* messages that members were too full for */
    char name[ASHM_NAME_MAX + 1];
} ashm_seen_group;

ASHM_API int ashm_see_groups(ashm_observer *observer, uint64_t *cursor, ashm_seen_group *out,
                             size_t size, size_t *count);

typedef struct {
    uint32_t slot;
    uint64_t expiry; /* what is left of it; ASHM_NEVER */
    char group[ASHM_NAME_MAX + 1], channel[ASHM_NAME_MAX + 1];
} ashm_seen_member;

ASHM_API int ashm_see_members(ashm_observer *observer, uint64_t *cursor, ashm_seen_member *out,
                              size_t size, size_t *count);

typedef struct {
    size_t length;   /* bytes of the body */
    uint64_t age;
    uint64_t expiry; /* what is left of it; ASHM_NEVER */
} ashm_seen_message;

/* The next unread message of a channel, which stays there. ASHM_EMPTY: there is no more.
 * ASHM_BUFFER: only out->length is written, and *cursor stays. */
ASHM_API int ashm_see_message(ashm_observer *observer, const char *channel,
                              size_t channel_length, uint64_t *cursor, void *buffer,
                              size_t size, ashm_seen_message *out);

/* A lock that is held just now. */
typedef struct {
    const char *what; /* "memory", "commons" or "mailbox" */
    uint32_t slot;    /* of the mailbox; else ASHM_SLOTS */
    uint32_t holder;  /* its slot */
    uint32_t pid;
    uint32_t waited; /* somebody waits for it */
} ashm_seen_lock;

/* All in one part: *count is at most 9 + ASHM_SLOTS. */
ASHM_API int ashm_see_locks(ashm_observer *observer, ashm_seen_lock *out, size_t size,
                            size_t *count);

/* Who held the lock when an operation of this handle last returned ASHM_BUSY. */
ASHM_API void ashm_blame(ashm *handle, int *pid, const char **lock);

/* `hook` is called, in the thread of the operation, before an operation sleeps or does what
 * takes long; maybe more than once, and with locks held: it takes no longer than it takes a
 * thread to come to run, and uses nothing of this. For all handles; NULL: none. */
ASHM_API void ashm_on_linger(void (*hook)(void));

/* For tests: run this handle on a clock that stands at `now`; 0: the real one. */
ASHM_API void ashm_set_clock(ashm *handle, uint64_t now);

/* </cffi> */

#endif
