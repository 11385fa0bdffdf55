/* clock.c: see clock.h. */
#include "clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t
clock_namespace_offset(void)
{
    /* Lines such as "monotonic  86400  0". The file is absent where the kernel
     * has no time namespaces, and then there is no offset. */
    char text[256];
    const char *line;
    char *end;
    ssize_t length;
    int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return 0;
    }
    length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    line = strstr(text, "monotonic");
    if (line == NULL) {
        return 0;
    }
    int64_t seconds = strtoll(line + strlen("monotonic"), &end, 10);
    int64_t ns = strtoll(end, NULL, 10);

    return seconds * (int64_t)NS_PER_SECOND + ns;
}
