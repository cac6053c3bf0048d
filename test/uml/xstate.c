// Loaded into user-mode Linux with LD_PRELOAD. Linux 6.1's sets the extended registers of its processes with a buffer for AVX
// only; hosts with AVX-512 or AMX refuse that with EFAULT ("a whole XSAVE buffer is needed", arch/x86/kernel/fpu/regset.c)
// and it panics. Here the part it knows is laid over the registers as they are, and all of them are written back.
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// From <linux/ptrace.h> and <linux/elf.h>, which do not mix with glibc's own ptrace.h.
enum { PEEK_FIRST = 1, PEEK_LAST = 3, GET_REGISTER_SET = 0x4204, SET_REGISTER_SET = 0x4205, X86_XSTATE = 0x202 };

static long kernel_ptrace(long request, long pid, void *address, void *data) {
  return syscall(SYS_ptrace, request, pid, address, data);
}

long ptrace(int request, ...) {
  va_list arguments;
  va_start(arguments, request);
  long pid = va_arg(arguments, int);
  void *address = va_arg(arguments, void *);
  void *data = va_arg(arguments, void *);
  va_end(arguments);
  if (request >= PEEK_FIRST && request <= PEEK_LAST) {
    // The kernel stores the word that glibc's function returns.
    long word;
    if (kernel_ptrace(request, pid, address, &word) < 0) return -1;
    errno = 0;
    return word;
  }
  if (request == SET_REGISTER_SET && (long)address == X86_XSTATE) {
    static __thread char registers[1 << 16];
    struct iovec *known = data, all = {registers, sizeof registers};
    if (kernel_ptrace(GET_REGISTER_SET, pid, address, &all) < 0) return -1;
    if (known->iov_len < all.iov_len) {
      memcpy(registers, known->iov_base, known->iov_len);
      return kernel_ptrace(request, pid, address, &all);
    }
  }
  return kernel_ptrace(request, pid, address, data);
}
