/*
 * linger.h: telling the caller that an operation takes longer than most.
 *
 * Most operations take a microsecond, and a caller may keep over one what others of its process
 * need: Python's global lock, which is lost for milliseconds by whoever lets go of it for a
 * microsecond while another thread computes. Whoever is about to sleep, or to work on and on,
 * calls linger() first, and the caller lets go of it. So it is called with locks of the segment
 * held, as often as it happens: the hook uses nothing of the library, and takes no longer than
 * it takes a thread to come to run.
 */
#ifndef ASHM_LINGER_H
#define ASHM_LINGER_H

void linger(void);

/* See ashm_on_linger(). */
void linger_call(void (*hook)(void));

#endif
