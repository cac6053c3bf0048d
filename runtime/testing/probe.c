/* A program for tests inside containers, static: prints what it is, or tries what it must not be able to do. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

static int told(const char *what, long result) {
  printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done");
  fflush(stdout);
  return result < 0;
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "", *word = argc > 2 ? argv[2] : "";
  if (!strcmp(verb, "euid")) return printf("Effective uid: %d\n", geteuid()), 0;
  if (!strcmp(verb, "write")) return told("write", open(word, O_WRONLY));
  if (!strcmp(verb, "truncate")) return told("truncate", open(word, O_WRONLY | O_TRUNC));
  if (!strcmp(verb, "ptrace")) return told("ptrace", ptrace(PTRACE_ATTACH, atoi(word), 0, 0));
  if (!strcmp(verb, "peek")) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)main, 1};
    return told("peek", process_vm_readv(atoi(word), &here, 1, &there, 1, 0));
  }
  if (!strcmp(verb, "mknod")) {
    if (mknod("/tmp/disk", S_IFBLK | 0600, makedev(atoi(word), 0)) < 0) return told("mknod", -1);
    return told("open of the made device", open("/tmp/disk", O_RDONLY));
  }
  if (!strcmp(verb, "remount")) return told("remount", mount(NULL, word, NULL, MS_REMOUNT | MS_BIND, NULL));
  if (!strcmp(verb, "umount")) return told("umount", umount2(word, MNT_DETACH));
  if (!strcmp(verb, "mount")) return told("mount", mount("none", "/tmp", word, 0, NULL));
  if (!strcmp(verb, "unshare")) return told("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS));
  if (!strcmp(verb, "handle")) {
    /* The inode of the root of most file systems, by number: the way out that was called Shocker. */
    struct {
      unsigned int bytes;
      int type;
      unsigned long long id;
    } handle = {8, 1, 2};
    int at = open(word, O_RDONLY);
    return told("open by handle", syscall(SYS_open_by_handle_at, at, &handle, O_RDONLY));
  }
  if (!strcmp(verb, "chroot-out")) {
    mkdir("/tmp/jail", 0700);
    int up = open("/", O_RDONLY | O_DIRECTORY);
    if (chroot("/tmp/jail") < 0 || fchdir(up) < 0) return told("chroot", -1);
    for (int i = 0; i < 64; i++)
      if (chdir("..") < 0) return told("chdir ..", -1);
    if (chroot(".") < 0) return told("chroot", -1);
    return told("host", access(word, F_OK));
  }
  if (!strcmp(verb, "caps")) {
    int held = 0;
    for (int cap = 0; cap < 64; cap++) held += prctl(PR_CAPBSET_READ, cap) == 1;
    printf("bounding set: %d\n", held);
    fflush(stdout);
    return system("grep CapEff /proc/self/status") != 0;
  }
  fprintf(stderr, "probe: no verb %s\n", verb);
  return 2;
}
