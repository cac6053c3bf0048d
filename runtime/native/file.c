// Steps on the host's files, cgroups and namespace mounts.
#include "launcher.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int path_write(const char *path, const void *data, size_t length) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  ssize_t put = write(fd, data, length);
  int error = put < 0 ? errno : (size_t)put == length ? 0 : EIO;
  close(fd);
  return error ? (errno = error, -1) : 0;
}

int step_mkdir(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *path = step->argv[1].text;
  if (mkdir(path, (mode_t)strtoul(step->argv[2].text, NULL, 8)) < 0 && errno != EEXIST)
    return fail(failure, errno, "mkdir %s", path);
  return 0;
}

int step_write(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const struct arg *data = &step->argv[2];
  if (path_write(step->argv[1].text, data->text, data->length) < 0)
    return fail(failure, errno, "write %.80s to %s", data->text, step->argv[1].text);
  return 0;
}

int step_try_write(struct context *context, const struct step *step, struct failure *failure) {
  if (step_write(context, step, failure) < 0 && !context->in_child)
    reply_add(context->reply, 2, (const char *[]){"warning", failure->message});
  return 0;
}

int step_unlink(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  if (unlink(step->argv[1].text) < 0 && errno != ENOENT) return fail(failure, errno, "unlink %s", step->argv[1].text);
  return 0;
}

int step_umount(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  // EINVAL: nothing is mounted there.
  if (umount2(step->argv[1].text, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
    return fail(failure, errno, "umount %s", step->argv[1].text);
  return 0;
}

// Removes a cgroup and those below it. A cgroup is busy until its last process is gone, which may take a moment.
static int remove_cgroup(const char *path, int *patience_ms) {
  DIR *directory = opendir(path);
  if (!directory) return errno == ENOENT ? 0 : -1;
  struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    char *child;
    if (asprintf(&child, "%s/%s", path, entry->d_name) < 0) abort();
    int result = remove_cgroup(child, patience_ms);
    free(child);
    if (result < 0) {
      closedir(directory);
      return -1;
    }
  }
  closedir(directory);
  for (int wait_ms = 0;; wait_ms = wait_ms < 20 ? wait_ms + 1 : 20) {
    if (rmdir(path) == 0 || errno == ENOENT) return 0;
    if (errno != EBUSY || *patience_ms <= 0) return -1;
    struct timespec pause = {.tv_nsec = wait_ms == 0 ? 200000 : wait_ms * 1000000};
    nanosleep(&pause, NULL);
    *patience_ms -= wait_ms + 1;
  }
}

int step_rmdir(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  int patience_ms = 5000;
  if (remove_cgroup(step->argv[1].text, &patience_ms) < 0) return fail(failure, errno, "rmdir %s", step->argv[1].text);
  return 0;
}

static int kill_listed(const char *path) {
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  int found = 0, pid;
  while (fscanf(file, "%d", &pid) == 1)
    if (pid > 0) {
      found++;
      kill(pid, SIGKILL);
    }
  fclose(file);
  return found;
}

// Kills everything in a v1 cgroup and below it; repeated because processes may fork meanwhile.
static int kill_below(const char *directory) {
  char path[4096];
  snprintf(path, sizeof path, "%s/freezer.state", directory);
  path_write(path, "THAWED", 6);  // a frozen v1 task does not die
  snprintf(path, sizeof path, "%s/cgroup.procs", directory);
  int found = kill_listed(path);
  DIR *list = opendir(directory);
  if (!list) return found;
  struct dirent *entry;
  while ((entry = readdir(list)) != NULL) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    char child[4096];
    if ((size_t)snprintf(child, sizeof child, "%s/%s", directory, entry->d_name) < sizeof child) found += kill_below(child);
  }
  closedir(list);
  return found;
}

// kill KILL_FILE V1_DIRECTORY...: everything in the cgroup; the first argument may be empty where there is no v2.
int step_kill(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *kill_file = step->argv[1].text;
  if (*kill_file && path_write(kill_file, "1", 1) < 0 && errno != ENOENT && errno != ENODEV)
    return fail(failure, errno, "write 1 to %s", kill_file);
  for (uint32_t i = 2; i < step->argc; i++)
    for (int round = 0; round < 2000 && kill_below(step->argv[i].text) > 0; round++) poll(NULL, 0, 1);
  return 0;
}

int step_bind_namespace(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *target = step->argv[2].text;
  char source[64];
  snprintf(source, sizeof source, "/proc/self/ns/%.32s", step->argv[1].text);
  int fd = open(target, O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(failure, errno, "create %s", target);
  close(fd);
  if (mount(source, target, NULL, MS_BIND, NULL) < 0) return fail(failure, errno, "bind %s on %s", source, target);
  // Never propagate: a copy in another mount namespace would keep the namespace alive.
  if (mount(NULL, target, NULL, MS_PRIVATE, NULL) < 0) return fail(failure, errno, "make %s private", target);
  return 0;
}

int step_host_tmpfs(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *target = step->argv[1].text;
  if (mkdir(target, 0755) < 0 && errno != EEXIST) return fail(failure, errno, "mkdir %s", target);
  if (mount("shm", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, step->argv[2].text) < 0)
    return fail(failure, errno, "mount tmpfs on %s", target);
  if (mount(NULL, target, NULL, MS_PRIVATE, NULL) < 0) return fail(failure, errno, "make %s private", target);
  return 0;
}
