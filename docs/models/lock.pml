/*
 * lock.pml: the lock of csrc/lock.h with recovery (recover.h), reaping (reap.h) and the claiming of
 * slots (claim.h), where processes are killed at any step, at their recovery of others too.
 *
 *     spin -a lock.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *     spin -a -DENDS lock.pml && cc -O2 -DCOLLAPSE -DNFAIR=3 -o pan pan.c && ./pan -a -f -m100000
 *
 * The first takes half a minute, the second some minutes. -DPROCESSES=2 -DKILLS=2 (a killed
 * recoverer) and -DPROCESSES=2 -DENDS are done in a second; tests/docs runs what is quick.
 *
 * One lock guards x and y, which are equal whenever nobody is inside. A transaction adds one to
 * both, through the log of its slot; the reaper does another, in the dead holder's name. Each
 * process claims a slot, enters once, and leaves. What is checked:
 *
 *  - whoever is inside, or acts in a dead holder's name, owns the lock until it lets go;
 *  - whoever enters finds x == y, whatever was killed before;
 *  - a log is undone only while the lock is in its owner's name;
 *  - a slot that changes hands has an empty log and owns no lock;
 *  - with -DENDS: whoever is not killed comes to an end.
 *
 * Each of these takes a safeguard away, and spin then finds an error:
 *
 *     -DNO_STATE       recovery does not look whether the slot is free by now
 *     -DNO_RECHECK     recovery does not look again once it has the recovery lock
 *     -DFREE_FIRST     recovery frees the lock before it undoes
 *     -DCOUNT_LATE     a store is done before its log entry counts
 *     -DNO_SLICE       a waiter sleeps until it is posted
 *     -DENDS -DGREEDY_CLAIM   who claims a slot keeps its life while it waits for recovery
 *
 * Left out: lanes (a slot has one here), the memory lock inside a mailbox's (nested.pml), and weak
 * memory: a lock word is taken with acquire and given back with release (atomic.h).
 */

#ifndef PROCESSES
#define PROCESSES 3
#define KILLS 1
#endif
#define SLOTS 2

/* ---- the segment ---- */

/* The lock word: generation, L, slot, W; 0: free. */
#define W 1
#define L 8
#define OWNER(slot) (generation[slot] * 16 + (slot + 1) * 2)
#define SLOT_OF(word) ((word) / 2 % 4 - 1)
#define GENERATION_OF(word) ((word) / 16)

byte word;
byte semaphore;
byte x, y;

byte generation[SLOTS];
bool taken[SLOTS];               /* state != SLOT_FREE */
byte count[SLOTS];               /* the log: its entries */
byte old_x[SLOTS], old_y[SLOTS]; /* the first of them, and the second */

/* ---- the kernel ---- */

byte life[SLOTS]; /* process + 1 that holds the byte of the slot */
byte recovery;    /* process + 1 that holds the recovery lock */
bool dead[PROCESSES + 1];
byte ended;

/* The stores of a killed process stay; what it held of the kernel's goes. */
proctype killer(byte victim)
{
    if
    :: d_step {
           dead[victim] = true;
           if
           :: life[0] == victim + 1 -> life[0] = 0
           :: else
           fi;
           if
           :: life[1] == victim + 1 -> life[1] = 0
           :: else
           fi;
           if
           :: recovery == victim + 1 -> recovery = 0
           :: else
           fi
       }
    :: true /* it lives */
    fi
}

#define TRY_RECOVERY_LOCK d_step { recovery == 0 -> recovery = me + 1 }

/* ---- lock.h: letting go ---- */

/* An exchange with 0; and a post, if W was set. */
inline release()
{
    d_step {
        posts = word % 2;
        word = 0
    };
    if
    :: posts != 0 -> d_step {
           if
           :: semaphore < 2 -> semaphore++
           :: else
           fi;
           posts = 0
       }
    :: else
    fi
}

/* ---- recover.h: the caller holds the recovery lock ---- */

#define STILL_IN_NAME(which) assert(word != 0 && SLOT_OF(word) == which)

inline undo(which)
{
    if
    :: d_step { count[which] == 2 -> STILL_IN_NAME(which); y = old_y[which] }
    :: count[which] < 2
    fi;
    if
    :: d_step { count[which] >= 1 -> STILL_IN_NAME(which); x = old_x[which] };
       d_step { STILL_IN_NAME(which); count[which] = 0 }
    :: count[which] == 0
    fi
}

inline free_lock(which)
{
    if
    :: word != 0 && SLOT_OF(word) == which -> release()
    :: else
    fi
}

inline recover_slot(which)
{
#ifdef FREE_FIRST
    free_lock(which);
    undo(which)
#else
    undo(which);
    free_lock(which)
#endif
}

/* What the segment says, then what the kernel says: by then the first may be old. */
inline look_at_slot(which)
{
    is_dead = taken[which];
    is_dead = is_dead && life[which] == 0
}

inline look_at_owner()
{
    is_dead = generation[SLOT_OF(seen)] == GENERATION_OF(seen);
#ifndef NO_STATE
    is_dead = is_dead && taken[SLOT_OF(seen)];
#endif
    is_dead = is_dead && life[SLOT_OF(seen)] == 0
}

inline recover_owner()
{
    look_at_owner();
    if
    :: is_dead ->
       if
       :: TRY_RECOVERY_LOCK;
#ifndef NO_RECHECK
          look_at_owner();
#endif
          if
          :: is_dead ->
             d_step {
                 is_dead = false;
                 other = SLOT_OF(seen)
             };
             recover_slot(other);
             other = 0
          :: else
          fi;
          recovery = 0
       :: recovery != 0 -> is_dead = false /* somebody else is at it */
       fi
    :: else
    fi
}

inline recover_others(but)
{
    other = 0;
    do
    :: other < SLOTS && other != but ->
       look_at_slot(other);
       if
       :: is_dead ->
          is_dead = false;
          recover_slot(other)
       :: else
       fi;
       other++
    :: other < SLOTS && other == but -> other++
    :: else -> break
    od;
    other = 0
}

/* ---- lock.h: waiting ---- */

inline wait_a_slice(recovering, slot)
{
#ifdef NO_SLICE
    semaphore > 0 -> semaphore--
#else
    if
    :: semaphore > 0 -> semaphore--
    :: true ->
       if
       :: recovering -> recover_others(slot)
       :: else -> recover_owner()
       fi
    fi
#endif
}

/* Who looks tells the owner, or somebody who had it meanwhile. */
inline look_on()
{
    d_step {
        if
        :: word != 0 && word / L % 2 == 0 -> word = word + L
        :: else
        fi
    }
}

inline acquire(recovering, slot)
{
    if
    :: d_step { word == 0 -> word = OWNER(slot) }
    :: word != 0 ->
       look_on();
       if
       :: d_step { word == 0 -> word = OWNER(slot) }
       :: true ->
          do
          :: d_step { word == 0 -> word = OWNER(slot) + W };
             break
          :: d_step { word != 0 -> seen = word; word = word - word % 2 + W };
             wait_a_slice(recovering, slot);
             seen = 0
          od
       fi
    fi;
    assert(x == y && count[slot] == 0)
}

/* ---- tx.h ---- */

#define OWNED(slot) assert(word != 0 && SLOT_OF(word) == slot && \
                           GENERATION_OF(word) == generation[slot])

/* The owner's, or the reaper's in the owner's name. Nobody looks at a log entry before it counts,
 * so to write it and to count it is one step. */
inline transaction(slot)
{
#ifdef COUNT_LATE
    d_step { old_x[slot] = x; x = (x + 1) % 3 };
    count[slot] = 1;
#else
    d_step { old_x[slot] = x; count[slot] = 1 };
    d_step { OWNED(slot); x = (x + 1) % 3 };
#endif
    d_step { old_y[slot] = y; count[slot] = 2 };
    d_step { OWNED(slot); y = (y + 1) % 3 };
    d_step { OWNED(slot); count[slot] = 0 } /* commits */
}

/* ---- reap.h: the caller holds the recovery lock ---- */

inline reap_slot(slot)
{
    recover_slot(slot);
    acquire(true, slot);
    transaction(slot);
    release();
    taken[slot] = false
}

inline reap_dead(slot)
{
    do
    :: slot < SLOTS ->
       look_at_slot(slot);
       if
       :: is_dead ->
          if
          :: TRY_RECOVERY_LOCK;
             look_at_slot(slot);
             if
             :: is_dead ->
                is_dead = false;
                reap_slot(slot)
             :: else
             fi;
             recovery = 0
          :: recovery != 0 -> is_dead = false
          fi
       :: else
       fi;
       slot++
    :: else -> break
    od;
    slot = 0
}

/* ---- claim.h ---- */

/* Claim the life of a slot. Where the question is whether all come to an end, who cannot have the
 * recovery lock, too, does not try: that two who try and pause miss each other for ever is chance
 * against pauses of 0.5 ms and slices of 5 to 50 ms, and no matter of the algorithm. */
#if defined(ENDS) && !defined(GREEDY_CLAIM)
#define WORTH_A_TRY(slot) (!taken[slot] || recovery == 0)
#define LOCKED_AT_ONCE(slot) recovery = (taken[slot] -> me + 1 : recovery)
#else
#define WORTH_A_TRY(slot) true
#define LOCKED_AT_ONCE(slot) skip
#endif

#define TRY_SLOT(slot)                                                            \
    d_step {                                                                      \
        !attached && life[slot] == 0 && WORTH_A_TRY(slot) -> life[slot] = me + 1; \
        mine = slot;                                                              \
        LOCKED_AT_ONCE(slot)                                                      \
    }

/* With the life of the slot ours: true in `attached`, or the life is given back. */
inline move_in()
{
    if
    :: taken[mine] && recovery != me + 1 ->
       if
       :: TRY_RECOVERY_LOCK
#ifndef GREEDY_CLAIM
       :: recovery != 0 -> life[mine] = 0
#endif
       fi
    :: else
    fi;
    if
    :: life[mine] == me + 1 ->
       if
       :: taken[mine] ->
          reap_slot(mine);
          recovery = 0
       :: else
       fi;
       attached = true
    :: else
    fi
}

inline claim()
{
    do
    :: !attached ->
       if
       :: TRY_SLOT(0)
       :: TRY_SLOT(1)
       fi;
       move_in()
    :: else -> break
    od;
    attached = false;
    assert(count[mine] == 0 && (word == 0 || SLOT_OF(word) != mine));
    generation[mine] = generation[mine] + 1;
    taken[mine] = true
}

inline leave()
{
    TRY_RECOVERY_LOCK;
    reap_slot(mine);
    recovery = 0;
    life[mine] = 0
}

/* ---- processes ---- */

#define LOCALS                                                                    \
    byte seen;    /* the word that was read */                                    \
    byte posts;                                                                   \
    byte other;   /* the slot that is looked at */                                \
    bool is_dead

proctype process(byte me)
{
    LOCALS;
    byte mine; /* slot */
    bool attached;

    {
       claim();
       acquire(false, mine);
       transaction(mine);
       release();
       leave()
    } unless {
       dead[me]
    };
    ended++
}

/* Comes when all have gone, and finds whole what they have left. */
active proctype auditor()
{
    LOCALS;
    byte me = PROCESSES;
    byte slot;

    ended == PROCESSES;
    reap_dead(slot);
    assert(word == 0 && recovery == 0 && x == y);
    assert(!taken[0] && !taken[1])
}

init
{
    atomic {
        byte i;

        for (i : 0 .. PROCESSES - 1) {
            run process(i)
        }
        for (i : 0 .. KILLS - 1) {
            run killer(i)
        }
    }
}

#ifdef ENDS
ltl ends { <> (ended == PROCESSES) }
#endif
