/*
 * doorbell.pml: the doorbell of csrc/doorbell.h between a process with two event loops and senders
 * that are killed at any step.
 *
 *     spin -a doorbell.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000
 *
 * takes some seconds; -DSENDERS=3 takes a minute. Each of two receivers, in a loop of its own, waits
 * for a channel of its own; the loops share a word and a FIFO, as the loops of one process do. Each
 * sender sends one message. One of them may be killed, anywhere between its commit and its ring,
 * and so may the first that reaps it, which rings in its stead. There is no tick here: it is for
 * FIFOs that cannot be opened, and for processes that nobody reaps.
 *
 * What is checked: when nothing moves any more, no message that was sent is left, that is, nobody
 * sleeps over one.
 *
 * Each of these takes a safeguard away, and spin then finds an error:
 *
 *     -DNO_DEBT         a sender does not record, with the message, that it owes a ring
 *     -DARM_BLINDLY     a receiver arms the bell without comparing the sequence
 *     -DARMED_WILL_DO   nor does one that finds it armed by the other loop
 *     -DSENDER_DISARMS  who rings clears the bit before
 *     -DNO_REARM        a loop that was woken does not arm again for the others that wait
 *
 * Left out: several processes that wait for one channel (waiters.h), and weak memory: all that the
 * argument rests on are read-modify-writes of one location.
 */

#define LOOPS 2
#ifndef SENDERS
#define SENDERS 2
#endif

/* ---- the segment ---- */

#define ARMED 1

byte bell;                    /* sequence << 1 | armed; the sequence does not come round here */
byte queue[LOOPS];            /* messages in a channel */
mtype = { IDLE, AWAITED, RUNG };
mtype waiter[LOOPS] = IDLE;
bool ready[LOOPS];            /* it is on the process's ready list */

/* ---- the kernel, and Python ---- */

bool fifo;                    /* it has something to read */
bool woken[LOOPS];            /* the future of the loop's coroutine is done */
bool inside[LOOPS];           /* a coroutine waits in the loop */

/* ---- senders ---- */

/* A sender, and when it is killed those who reap it, one after the other. `kills`: how often. */
proctype sender(byte channel; byte kills)
{
    bool owed;      /* the lane says that a ring is owed */
    bool was_armed;
    bool added;     /* by whoever pays now */

    d_step { /* a transaction: all of it or nothing, and before it there is nothing to reap */
        queue[channel]++;
        if
        :: waiter[channel] == AWAITED ->
           waiter[channel] = RUNG;
           ready[channel] = true;
           owed = true
        :: else
        fi
    };
    do
    :: owed && !added ->
       d_step {
           was_armed = bell & ARMED;
#ifdef SENDER_DISARMS
           bell = bell - was_armed;
#endif
           bell = bell + 2;
           added = true
       }
    :: owed && added ->
       if
       :: was_armed -> fifo = true
       :: else
       fi;
       was_armed = false; /* from here on to pay again makes a needless ring at most */
       owed = false
    :: owed && kills > 0 ->
       d_step {
           kills--;
           was_armed = false;
           added = false;
#ifdef NO_DEBT
           owed = false
#endif
       }
    :: !owed -> break
    od
}

/* ---- the receiving process ---- */

#define SEQUENCE(word) ((word) / 2)
#define MAY_BE_READY (ready[0] || ready[1])

#ifdef ARM_BLINDLY
#define MAY_ARM true
#elif defined(ARMED_WILL_DO)
#define MAY_ARM ((bell & ARMED) || SEQUENCE(bell) == seen)
#else
#define MAY_ARM (SEQUENCE(bell) == seen)
#endif

/* Armed already, by the other loop, or armed now. A compare-and-swap that fails is tried again, so
 * it is one step here. */
#define ARM d_step { MAY_ARM -> bell = bell | ARMED; seen = 0 }

/* Arm, unless there is something: in `pending`. */
inline arm_or_pend()
{
    do
    :: d_step { MAY_BE_READY -> pending = true; seen = 0 };
       break
    :: !MAY_BE_READY ->
       if
       :: ARM;
          break
       :: d_step { !MAY_ARM -> seen = SEQUENCE(bell) }
       fi
    od
}

inline disarm()
{
    fifo = false;
    d_step { bell = bell - (bell & ARMED) }
}

inline take_ready()
{
    d_step {
        cookie[0] = ready[0] && waiter[0] == RUNG;
        cookie[1] = ready[1] && waiter[1] == RUNG;
        ready[0] = false;
        ready[1] = false
    }
}

/* ashm_ready(), then the futures, then ashm_arm() for the others. */
inline dispatch()
{
    disarm();
    take_ready();
    d_step {
        pending = false;
        others = inside[0] + inside[1] - cookie[0] - cookie[1];
        woken[0] = woken[0] || cookie[0];
        woken[1] = woken[1] || cookie[1];
        cookie[0] = false;
        cookie[1] = false
    };
#ifdef NO_REARM
    others = 0;
#endif
    if
    :: others > 0 ->
       d_step { others = 0; seen = SEQUENCE(bell) };
       arm_or_pend()
    :: else -> others = 0
    fi
}

proctype loop(byte me)
{
    byte seen;
    short others;
    bool pending, taken;
    bool cookie[LOOPS];

receive:
    inside[me] = true;
    seen = SEQUENCE(bell);
    d_step { /* under the mailbox's lock */
        woken[me] = false;
        taken = queue[me] > 0;
        if
        :: taken -> queue[me]--; waiter[me] = IDLE; seen = 0
        :: else -> waiter[me] = AWAITED
        fi
    };
    if
    :: taken ->
       d_step { taken = false; inside[me] = false };
       goto receive
    :: else
    fi;
    /* The sequence was read before the channel was looked at, and is what counts. */
    if
    :: ARM
    :: d_step { !MAY_ARM -> seen = SEQUENCE(bell) };
       arm_or_pend()
    fi;
end:
    do
    :: woken[me] -> goto receive
    :: pending -> dispatch()
    :: fifo -> dispatch()
    od
}

active proctype auditor()
{
    timeout;
    assert(queue[0] == 0 && queue[1] == 0)
}

init
{
    atomic {
        run loop(0);
        run loop(1);
        run sender(0, 2);
        run sender(1, 0);
#if SENDERS > 2
        run sender(0, 0)
#endif
    }
}
