// Finds the function of each step and runs the list; stops at the first that fails and says which.
#include "launcher.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name;
  step_function *run;
  uint32_t least, most;  // arguments after the name
} table[] = {
    {"mkdir", step_mkdir, 2, 2},
    {"write", step_write, 2, 2},
    {"try-write", step_try_write, 2, 2},
    {"umount", step_umount, 1, 1},
    {"unlink", step_unlink, 1, 1},
    {"rmdir", step_rmdir, 1, 1},
    {"kill", step_kill, 1, 64},
    {"bind-namespace", step_bind_namespace, 2, 2},
    {"host-tmpfs", step_host_tmpfs, 2, 2},
    {"tree", step_tree, 3, 4},
    {"private", step_private, 0, 0},
    {"overlay", step_overlay, 4, 600},
    {"mount", step_mount, 5, 5},
    {"attach", step_attach, 4, 4},
    {"mknod", step_mknod, 7, 7},
    {"symlink", step_symlink, 2, 2},
    {"root-mkdir", step_root_mkdir, 2, 2},
    {"mask", step_mask, 1, 1},
    {"readonly", step_readonly, 1, 1},
    {"root-tmpfs", step_root_tmpfs, 1, 1},
    {"root-readonly", step_root_readonly, 0, 0},
    {"pivot", step_pivot, 0, 0},
    {"netlink", step_netlink, 0, 0},
    {"bridge", step_bridge, 4, 4},
    {"veth", step_veth, 5, 5},
    {"address", step_address, 2, 2},
    {"up", step_up, 1, 1},
    {"default-route", step_default_route, 1, 1},
    {"link-delete", step_link_delete, 1, 1},
    {"mtu", step_mtu, 0, 0},
    {"unshare", step_unshare, 1, 1},
    {"setns", step_setns, 2, 2},
    {"hostname", step_hostname, 1, 1},
    {"rlimit", step_rlimit, 3, 3},
    {"oom", step_oom, 1, 1},
    {"cwd", step_cwd, 1, 1},
    {"bounding", step_bounding, 1, 1},
    {"user", step_user, 2, 65536},
    {"caps", step_caps, 4, 4},
    {"no-new-privs", step_no_new_privs, 0, 0},
    {"seccomp", step_seccomp, 2, 2},
    {"device-filter", step_device_filter, 2, 2},
    {"stdio", step_stdio, 1, 1},
    {"terminal", step_terminal, 4, 4},
    {"exec", step_exec, 2, 65536},
    {"pause", step_pause, 0, 0},
    {"session", step_session, 10, 64},
    {"clone", step_clone, 3, 64},
    {"warm", step_warm, 1, 1},
    {"enter", step_enter, 4, 64},
    {"joined", step_joined, 0, 0},
    {"wait-start", step_wait_start, 0, 0},
    {"dial", step_dial, 2, 2},
    {"quiesce", step_quiesce, 1, 1},
    {"user-namespace", step_user_namespace, 4, 4},
    {"enter-user", step_enter_user, 2, 2},
    {"overlay-tree", step_overlay_tree, 7, 600},
    {"device-tmpfs", step_device_tmpfs, 3, 3},
    {"root", step_root, 2, 2},
    {"own-streams", step_own_streams, 2, 2},
    {"sysctl", step_sysctl, 3, 3},
    {"probe-idmap", step_probe_idmap, 1, 1},
    {"trace", step_trace, 0, 0},
    {"seal", step_seal, 1, 1},
    {"die", step_die, 0, 0},
};

int fail(struct failure *failure, int error, const char *format, ...) {
  failure->error = error;
  va_list args;
  va_start(args, format);
  int used = vsnprintf(failure->message, sizeof failure->message, format, args);
  va_end(args);
  if (error != 0 && used >= 0 && (size_t)used < sizeof failure->message)
    snprintf(failure->message + used, sizeof failure->message - (size_t)used, ": %s", strerror(error));
  return -1;
}

// trace: from here on every step is told with the time it took, up to where a process waits or becomes another program.
int step_trace(struct context *context, const struct step *step, struct failure *failure) {
  (void)step, (void)failure;
  context->tracing = true;
  return 0;
}

// die: as if somebody killed us here. Tests put it between the steps of a plan.
int step_die(struct context *context, const struct step *step, struct failure *failure) {
  (void)context, (void)step, (void)failure;
  kill(getpid(), SIGKILL);
  _exit(137);  // the first process of a namespace cannot kill itself
}

void trace(struct context *context, struct traced traced) {
  if (context->in_child) {
    sync_send(context->sync, SYNC_TRACE, &traced, sizeof traced, -1);
    return;
  }
  char at[16], ns[24];
  snprintf(at, sizeof at, "%u", traced.at);
  snprintf(ns, sizeof ns, "%lld", (long long)traced.ns);
  reply_add(context->reply, 3, (const char *[]){"trace", at, ns});
}

int run_steps(struct context *context, const struct plan *plan, uint32_t from, struct failure *failure) {
  context->plan = plan;
  for (uint32_t i = from; i < plan->count; i++) {
    const struct step *step = &plan->steps[i];
    const char *name = step->argv[0].text;
    failure->step = (int32_t)i;
    context->at = i;
    size_t known = 0;
    while (known < sizeof table / sizeof *table && strcmp(table[known].name, name) != 0) known++;
    if (known == sizeof table / sizeof *table) return fail(failure, ENOSYS, "unknown step %.40s", name);
    uint32_t arguments = step->argc - 1;
    if (arguments < table[known].least || arguments > table[known].most)
      return fail(failure, EINVAL, "step %s with %u arguments", name, arguments);
    // What waits for its start tells nothing more: its parent has answered by then.
    if (table[known].run == step_wait_start || table[known].run == step_pause) context->tracing = false;
    int64_t started = context->tracing ? now_ns() : 0;
    if (table[known].run(context, step, failure) < 0) return -1;
    if (context->tracing) trace(context, (struct traced){i, now_ns() - started});
    // A spawn has handed the rest of the plan to a child.
    if (table[known].run == step_clone || table[known].run == step_enter) return 0;
  }
  return 0;
}
