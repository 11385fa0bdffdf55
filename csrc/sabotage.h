/*
 * sabotage.h: safeguards that can be left out, one at a time, to see that a test notices.
 *
 * Compiled with -DASHM_SABOTAGE=NO_UNDO the condition SABOTAGE(NO_UNDO) is true. All others are
 * false, as all are in every other build: constants, of which nothing is left in the code.
 * Which test notices says tests/c/sabotage.cmake. What docs/models leave out has the same name
 * there.
 */
#ifndef ASHM_SABOTAGE_H
#define ASHM_SABOTAGE_H

enum sabotage {
    SABOTAGE_NOTHING,
    /* transactions and recovery */
    SABOTAGE_NO_UNDO,       /* the stores of a dead owner stay */
    SABOTAGE_NO_COMMIT,     /* the log of what is done still counts */
    SABOTAGE_COUNTED_EARLY, /* a log entry counts before it is written */
    SABOTAGE_FREE_FIRST,    /* recovery frees the locks before it undoes */
    SABOTAGE_LEASE,         /* who has held a lock for a slice is taken for dead */
    SABOTAGE_NO_STATE,      /* recovery does not look whether the slot is free by now */
    SABOTAGE_NO_RECHECK,    /* recovery does not look again once it has the recovery lock */
    /* locks */
    SABOTAGE_NO_SLICE, /* a waiter sleeps until it is posted */
    SABOTAGE_NO_W,     /* a waiter does not say that it sleeps */
    /* doorbells and turns */
    SABOTAGE_SENDER_DISARMS, /* who rings clears the armed bit */
    SABOTAGE_ARM_BLINDLY,    /* a receiver arms without comparing the sequence */
    SABOTAGE_ARMED_WILL_DO,  /* nor does one that finds it armed by another thread */
    SABOTAGE_NO_DEBT,        /* the reaper does not ring the bells that the dead owed */
    SABOTAGE_KEPT_TURN,      /* the reaper does not pass the turns of the dead on */
    /* waiting for room, and watching groups */
    SABOTAGE_ROOM_SILENT,   /* what makes room owes no ring */
    SABOTAGE_ROOM_FOR_ONE,  /* it tells one of those who wait */
    SABOTAGE_WATCH_SILENT,  /* who joins or leaves owes no ring */
    SABOTAGE_WATCH_LOSES,   /* more marks are taken than are told */
    SABOTAGE_WATCH_KEPT,    /* the reaper lets the dead watch on */
    SABOTAGE_WATCH_NO_UNDO, /* the header's word of who watches is stored without a log */
    SABOTAGE_OLD_NEWS,      /* a slot's new holder hears what its last was to be told */
    SABOTAGE_ARM_DEAF,      /* who arms does not see that there is room, or a change */
    /* memory */
    SABOTAGE_FORGET_HELD, /* the reaper forgets what the dead held */
    SABOTAGE_FREED_TWICE, /* memory is freed a transaction before the reference is gone */
    SABOTAGE_TAKEN_AGAIN, /* a transaction takes what it has itself freed */
    SABOTAGE_NO_BOUNDS,   /* a reference is believed */
    /* processes */
    SABOTAGE_GENERATION_LATE, /* a slot is taken before its generation is raised */
    SABOTAGE_FREE_SLOT_FIRST, /* a slot is free before it is empty */
    SABOTAGE_GREEDY_CLAIM,    /* a claimer keeps the life while it waits for recovery */
    SABOTAGE_NO_WIPE,         /* a child has the slot of its parent */
    SABOTAGE_LIFE_INHERITED,  /* a child prolongs the life of its parent */
    SABOTAGE_MAGIC_FIRST,     /* a segment is said to be formatted before it is */
    /* time */
    SABOTAGE_CLOCK_BACK, /* the clock goes back */
    SABOTAGE_SETTLE_NOW, /* a broadcast is settled by the time of its settling */
};

#ifndef ASHM_SABOTAGE
#define ASHM_SABOTAGE NOTHING
#endif

#define SABOTAGE_JOIN(prefix, name) prefix##name
#define SABOTAGE_NAMED(name) SABOTAGE_JOIN(SABOTAGE_, name)
#define SABOTAGE(name) (SABOTAGE_NAMED(ASHM_SABOTAGE) == SABOTAGE_##name)

#endif
