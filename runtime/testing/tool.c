/* The program in the test image: a few verbs, static, no libc file needed. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_term(int signal) {
  (void)signal;
  _exit(0);
}

static int say(const char *text) {
  printf("%s\n", text);
  return fflush(stdout);
}

static int wait_for_ever(void) {
  for (;;) pause();
}

/* Answers every connection with one line. */
static int listen_on(int port) {
  int s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
  if (bind(s, (struct sockaddr *)&to, sizeof to) || listen(s, 16)) return 1;
  say("listening");
  for (;;) {
    int c = accept(s, 0, 0);
    if (c < 0) continue;
    if (write(c, "hello from the pod\n", 19) < 0) perror("write");
    close(c);
  }
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  const char *word = argc > 2 ? argv[2] : "";
  if (!strcmp(verb, "serve")) return signal(SIGTERM, on_term), say("serving"), wait_for_ever();
  if (!strcmp(verb, "stubborn")) return signal(SIGTERM, SIG_IGN), say("stubborn"), wait_for_ever();
  if (!strcmp(verb, "listen")) return listen_on(atoi(word));
  if (!strcmp(verb, "echo")) return say(word);
  if (!strcmp(verb, "exit")) return say("leaving"), atoi(word);
  if (!strcmp(verb, "sleep")) return sleep(atoi(word));
  if (!strcmp(verb, "write")) {
    int f = open(word, O_CREAT | O_WRONLY, 0644);
    return f < 0 || write(f, "made\n", 5) != 5;
  }
  if (!strcmp(verb, "eat")) {
    for (;;) {
      char *p = malloc(1 << 20);
      if (!p) return 1;
      memset(p, 1, 1 << 20);
    }
  }
  if (!strcmp(verb, "cat")) {
    char buffer[65536];
    int f = argc > 2 ? open(word, O_RDONLY) : 0;
    ssize_t n;
    if (f < 0) return perror("open"), 1;
    while ((n = read(f, buffer, sizeof buffer)) > 0)
      for (ssize_t done = 0; done < n;) {
        ssize_t w = write(1, buffer + done, n - done);
        if (w < 0) return 1;
        done += w;
      }
    return 0;
  }
  return 2;
}
