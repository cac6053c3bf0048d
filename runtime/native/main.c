// sampan-launcher: `serve SOCKET STATE_DIR` is the resident launcher; `version` prints the protocol's number.
// The shim and the init stages are forks of serve: they need no exec, so they share its pages.
#include "launcher.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

extern char **environ;
static char *title_area;
static size_t title_size;

// Overwrites the arguments as `ps` shows them.
void set_title(const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (title_size == 0) return;
  memset(title_area, 0, title_size);
  snprintf(title_area, title_size, "%s", text);
}

// Runs from a sealed copy in memory, so that no container can open /proc/<pid>/exe and overwrite the program.
static void run_from_sealed_copy(char **argv) {
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) return;
  int seals = fcntl(self, F_GET_SEALS);
  int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (seals >= 0 && (seals & all) == all) {
    close(self);
    return;
  }
  int copy = memfd_create("sampan-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0) goto failed;
  for (;;) {
    ssize_t moved = sendfile(copy, self, NULL, 1 << 20);
    if (moved < 0) goto failed;
    if (moved == 0) break;
  }
  if (fcntl(copy, F_ADD_SEALS, all) < 0) goto failed;
  fexecve(copy, argv, environ);
failed:
  perror("sampan-launcher: cannot run from a sealed copy");
  exit(1);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "version") == 0) {
    puts("sampan-launcher protocol " PROTOCOL);
    return 0;
  }
  if (argc != 4 || strcmp(argv[1], "serve") != 0) {
    fputs("usage: sampan-launcher serve SOCKET STATE_DIR\n       sampan-launcher version\n", stderr);
    return 2;
  }
  run_from_sealed_copy(argv);
  char *socket_path = strdup(argv[2]), *state = strdup(argv[3]);
  title_area = argv[0];
  title_size = (size_t)(argv[3] + strlen(argv[3]) - argv[0]);
  set_title("sampan-launcher serve %s", socket_path);
  return serve(socket_path, state);
}
