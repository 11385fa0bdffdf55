/*
 * A byte to another process over a FIFO and back, many times: the floor under every
 * round trip, with no Python in it.
 *
 * Usage: cping PROCESSOR PROCESSOR ROUND_TRIPS. Prints the time of each in ns.
 */

#include "processor.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_UP 200

static void
pass(int from, int to)
{
    char byte;
    if (read(from, &byte, 1) != 1 || write(to, &byte, 1) != 1)
        _exit(3);
}

int
main(int argc, char **argv)
{
    int there[2], back[2];
    if (argc != 4 || pipe(there) || pipe(back))
        return 1;
    int trips = atoi(argv[3]) + WARM_UP;
    int64_t *took = calloc((size_t)trips, sizeof *took);
    pid_t child = fork();
    if (!took || child < 0)
        return 1;
    if (child == 0) {
        pin(atoi(argv[2]));
        for (int i = 0; i < trips; i++)
            pass(there[0], back[1]);
        _exit(0);
    }
    pin(atoi(argv[1]));
    for (int i = 0; i < trips; i++) {
        char byte = 0;
        int64_t started = now();
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            return 3;
        took[i] = now() - started;
    }
    waitpid(child, NULL, 0);
    for (int i = WARM_UP; i < trips; i++)
        printf("%lld\n", (long long)took[i]);
    return 0;
}
