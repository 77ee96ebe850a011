/* tmp: is /tmp there, is it empty, can it be written? Says "empty=yes|no" (or "list=ENOENT"), "found=NAME" for each
 * entry, then writes /tmp/mark (or `name=…`) and says "write=ok" (or the error). */
#include <dirent.h>
#include <fcntl.h>

#include "guest.h"

int main(void) {
    char path[256], *name = param("name"), *found[64];
    int n = 0;
    head("text/plain");
    DIR *dir = opendir("/tmp");
    if (dir) {
        for (struct dirent *e; n < 64 && (e = readdir(dir));) {
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) found[n++] = strdup(e->d_name);
        }
        closedir(dir);
        printf("empty=%s\n", n ? "no" : "yes");
        for (int i = 0; i < n; i++) printf("found=%s\n", found[i]);
    } else {
        printf("list=%s\n", errno_name(errno));
    }
    snprintf(path, sizeof path, "/tmp/%s", name && *name ? name : "mark");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int ok = fd >= 0 && write(fd, "here\n", 5) == 5 && close(fd) == 0;
    printf("write=%s\n", ok ? "ok" : errno_name(errno));
    return 0;
}
