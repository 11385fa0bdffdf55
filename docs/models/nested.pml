/*
 * nested.pml: two locks of csrc/lock.h, one taken inside the other, with the transactions of tx.h
 * and the recovery of recover.h, among three processes of which two are killed at any step, at
 * their recovery of others too.
 *
 *     spin -a nested.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *
 * Each process enters once: it locks a mailbox and, inside, memory, as most operations do; or
 * memory alone, as one does that makes a message. Each lock guards two cells, which are equal
 * whenever nobody is inside. A transaction adds one to every cell that its locks guard, those of
 * memory between those of the mailbox. What is checked, in a quarter of a minute:
 *
 *  - whoever enters either lock finds its cells equal, whatever was killed before;
 *  - a cell is stored to by the owner of its lock alone, and undone only while the lock is in the
 *    dead owner's name;
 *  - whoever is not killed comes to an end, and what all have left is whole.
 *
 * Each of these takes a safeguard away, and spin then finds an error:
 *
 *     -DINNER_FIRST    memory is unlocked before the commit
 *     -DFREE_FIRST     recovery frees the locks before it undoes
 *     -DFREE_WAITED    recovery frees the lock that is waited for, and undoes what that one guards
 *     -DNO_SLICE       a waiter sleeps until it is posted
 *
 * Left out: slots that change hands, and the reaper (lock.pml has them); weak memory.
 */

#ifndef PROCESSES
#define PROCESSES 3
#define KILLS 2
#endif

/* ---- the segment ---- */

#define MAILBOX 0
#define MEMORY 1
#define LOCK_OF(cell) ((cell) / 2)

/* A lock word: process, W; 0: free. */
#define W 1
#define OWNER(process) (((process) + 1) * 2)
#define OWNER_OF(word) ((word) / 2 - 1)

byte word[2];
byte semaphore[2];
byte cell[4];

/* The logs: which cell, and what was in it. */
#define LOG(process, n) ((process) * 4 + (n))
byte count[PROCESSES];
byte where[PROCESSES * 4];
byte old[PROCESSES * 4];

/* ---- the kernel ---- */

byte recovery; /* process + 1 that holds the recovery lock */
bool dead[PROCESSES];
byte ended;

proctype killer(byte victim)
{
    if
    :: d_step {
           dead[victim] = true;
           if
           :: recovery == victim + 1 -> recovery = 0
           :: else
           fi
       }
    :: true /* it lives */
    fi
}

/* ---- lock.h: letting go ---- */

/* An exchange with 0; and a post, if W was set. */
inline release(lock)
{
    d_step {
        posts = word[lock] % 2;
        word[lock] = 0
    };
    if
    :: posts != 0 -> d_step {
           semaphore[lock] = 1;
           posts = 0
       }
    :: else
    fi
}

/* ---- recover.h ---- */

#define STILL_IN_NAME(lock, which) \
    assert(word[lock] != 0 && OWNER_OF(word[lock]) == which)

/* Backwards, and from the end again if who does it is killed. */
inline undo(which)
{
    left = count[which];
    do
    :: left > 0 ->
       d_step {
           left--;
#ifdef FREE_WAITED
           if
           :: LOCK_OF(where[LOG(which, left)]) == wanted ->
#endif
           STILL_IN_NAME(LOCK_OF(where[LOG(which, left)]), which);
           cell[where[LOG(which, left)]] = old[LOG(which, left)]
#ifdef FREE_WAITED
           :: else
           fi
#endif
       }
    :: else -> break
    od;
    count[which] = 0
}

inline free_lock(lock, which)
{
    if
    :: word[lock] != 0 && OWNER_OF(word[lock]) == which -> release(lock)
    :: else
    fi
}

inline free_locks(which)
{
#ifdef FREE_WAITED
    free_lock(wanted, which)
#else
    free_lock(MEMORY, which);
    free_lock(MAILBOX, which)
#endif
}

inline recover_slot(which)
{
#ifdef FREE_FIRST
    free_locks(which);
    undo(which)
#else
    undo(which);
    free_locks(which)
#endif
}

/* A process does not come back here, so that it was dead is true for ever; but another may have
 * recovered it, and the lock have another owner. */
inline recover_owner()
{
    if
    :: dead[other] ->
       if
       :: d_step { recovery == 0 -> recovery = me + 1 };
          recover_slot(other);
          recovery = 0
       :: recovery != 0 /* somebody else is at it */
       fi
    :: else
    fi
}

/* ---- lock.h: waiting ---- */

inline wait_a_slice(lock)
{
#ifdef NO_SLICE
    semaphore[lock] > 0 -> semaphore[lock] = 0
#else
    if
    :: semaphore[lock] > 0 -> semaphore[lock] = 0
    :: true -> recover_owner()
    fi
#endif
}

inline acquire(lock)
{
    wanted = lock;
    if
    :: d_step { word[lock] == 0 -> word[lock] = OWNER(me) }
    :: word[lock] != 0 ->
       do
       :: d_step { word[lock] == 0 -> word[lock] = OWNER(me) + W };
          break
       :: d_step {
              word[lock] != 0 -> other = OWNER_OF(word[lock]);
              word[lock] = word[lock] - word[lock] % 2 + W
          };
          wait_a_slice(lock);
          other = 0
       od
    fi;
    assert(cell[lock * 2] == cell[lock * 2 + 1])
}

/* ---- tx.h ---- */

/* Nobody looks at a log entry before it counts, so to write it and to count it is one step. */
inline set(which)
{
    d_step {
        where[LOG(me, count[me])] = which;
        old[LOG(me, count[me])] = cell[which];
        count[me]++
    };
    d_step {
        assert(word[LOCK_OF(which)] != 0 && OWNER_OF(word[LOCK_OF(which)]) == me);
        cell[which] = (cell[which] + 1) % 3
    }
}

inline commit()
{
    count[me] = 0
}

/* ---- processes ---- */

proctype process(byte me)
{
    byte wanted; /* the lock that is waited for, */
    byte other;  /* and who has it */
    byte posts;
    byte left;

    {
       if
       :: acquire(MAILBOX);
          set(0);
          acquire(MEMORY);
          set(2);
          set(3);
          set(1);
#ifdef INNER_FIRST
          release(MEMORY);
          commit();
#else
          commit();
          release(MEMORY);
#endif
          release(MAILBOX)
       :: acquire(MEMORY);
          set(2);
          set(3);
          commit();
          release(MEMORY)
       fi
    } unless {
       dead[me]
    };
    ended++
}

/* Comes when all have gone, recovers who was killed last, and finds all whole. */
active proctype auditor()
{
    byte me, other, posts, left, wanted;

    ended == PROCESSES;
    do
    :: other < PROCESSES ->
       wanted = MEMORY;
       recover_slot(other);
       wanted = MAILBOX;
       recover_slot(other);
       other++
    :: else -> break
    od;
    assert(cell[0] == cell[1] && cell[2] == cell[3]);
    assert(word[0] == 0 && word[1] == 0)
}

init {
    byte i;

    atomic {
        do
        :: i < PROCESSES ->
           run process(i);
           if
           :: i < KILLS -> run killer(i)
           :: else
           fi;
           i++
        :: else -> break
        od
    }
}
