// Links, addresses and routes by rtnetlink. A veth's peer is made directly inside the new namespace; tearing down is
// dropping the last reference to that namespace.
#include "launcher.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
  struct nlmsghdr head;
  char bytes[1024];
};

static void *tail(struct request *request) { return (char *)request + NLMSG_ALIGN(request->head.nlmsg_len); }

static void *begin(struct request *request, uint16_t type, uint16_t flags, size_t body) {
  memset(request, 0, sizeof *request);
  request->head = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH((uint32_t)body), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags};
  return NLMSG_DATA(&request->head);
}

static struct rtattr *put(struct request *request, uint16_t type, const void *data, size_t length) {
  struct rtattr *attribute = tail(request);
  if (NLMSG_ALIGN(request->head.nlmsg_len) + RTA_SPACE(length) > sizeof *request) abort();
  attribute->rta_type = type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(length);
  if (length) memcpy(RTA_DATA(attribute), data, length);
  request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len) + (uint32_t)RTA_SPACE(length);
  return attribute;
}

static struct rtattr *nest(struct request *request, uint16_t type) { return put(request, type, NULL, 0); }
static void unnest(struct request *request, struct rtattr *nest) { nest->rta_len = (uint16_t)((char *)tail(request) - (char *)nest); }
static void put_text(struct request *request, uint16_t type, const char *text) { put(request, type, text, strlen(text) + 1); }
static void put_u32(struct request *request, uint16_t type, uint32_t value) { put(request, type, &value, 4); }

// Sends and waits for the acknowledgement; returns 0 or -1 with errno. The first answer's body lands in `answer`.
static int talk(int fd, struct request *request, char *answer, size_t size) {
  if (send(fd, request, request->head.nlmsg_len, 0) < 0) return -1;
  char buffer[16384];
  if (!answer) answer = buffer, size = sizeof buffer;
  for (;;) {
    ssize_t got = recv(fd, answer, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < (ssize_t)sizeof(struct nlmsghdr)) return errno = EIO, -1;
    struct nlmsghdr *head = (struct nlmsghdr *)answer;
    if (head->nlmsg_type != NLMSG_ERROR) return 0;
    int error = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
    return error ? (errno = error, -1) : 0;
  }
}

static int open_netlink(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -1;
  // Answers to GETLINK would be followed by an acknowledgement; each request uses a fresh view of the queue.
  return fd;
}

static int link_index(const char *name, int host) {
  int fd = host >= 0 ? host : open_netlink();
  struct request request;
  struct ifinfomsg *link = begin(&request, RTM_GETLINK, 0, sizeof *link);
  request.head.nlmsg_flags &= (uint16_t)~NLM_F_ACK;
  put_text(&request, IFLA_IFNAME, name);
  char answer[16384];
  int result = talk(fd, &request, answer, sizeof answer);
  int error = errno;
  if (host < 0) close(fd);
  if (result < 0) return errno = error, -1;
  return ((struct ifinfomsg *)NLMSG_DATA((struct nlmsghdr *)answer))->ifi_index;
}

static bool parse_mac(const char *text, unsigned char mac[6]) {
  return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) == 6;
}

int step_netlink(struct context *context, const struct step *step, struct failure *failure) {
  (void)step;
  context->netlink_host = open_netlink();
  return context->netlink_host < 0 ? fail(failure, errno, "open netlink") : 0;
}

static int set_up(int fd, int index) {
  struct request request;
  struct ifinfomsg *link = begin(&request, RTM_NEWLINK, 0, sizeof *link);
  link->ifi_index = index;
  link->ifi_flags = link->ifi_change = IFF_UP;
  return talk(fd, &request, NULL, 0);
}

static int add_address(int fd, int index, const char *cidr) {
  char text[64];
  unsigned char address[16];
  const char *slash = strchr(cidr, '/');
  if (!slash || (size_t)(slash - cidr) >= sizeof text) return errno = EINVAL, -1;
  memcpy(text, cidr, (size_t)(slash - cidr));
  text[slash - cidr] = 0;
  int family = strchr(text, ':') ? AF_INET6 : AF_INET;
  size_t length = family == AF_INET ? 4 : 16;
  if (inet_pton(family, text, address) != 1) return errno = EINVAL, -1;
  struct request request;
  struct ifaddrmsg *body = begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *body);
  body->ifa_family = (uint8_t)family;
  body->ifa_prefixlen = (uint8_t)strtoul(slash + 1, NULL, 10);
  body->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
  body->ifa_index = (uint32_t)index;
  put(&request, IFA_LOCAL, address, length);
  put(&request, IFA_ADDRESS, address, length);
  if (family == AF_INET && body->ifa_prefixlen < 31) {
    uint32_t ip, mask = htonl(body->ifa_prefixlen ? ~0u << (32 - body->ifa_prefixlen) : 0);
    memcpy(&ip, address, 4);
    put_u32(&request, IFA_BROADCAST, ip | ~mask);
  }
  return talk(fd, &request, NULL, 0);
}

// bridge NAME CIDR MAC MTU: makes it, or leaves it as it is.
int step_bridge(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *name = step->argv[1].text;
  unsigned char mac[6];
  if (!parse_mac(step->argv[3].text, mac)) return fail(failure, EINVAL, "mac %s", step->argv[3].text);
  int fd = open_netlink();
  if (fd < 0) return fail(failure, errno, "open netlink");
  struct request request;
  begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
  put_text(&request, IFLA_IFNAME, name);
  put_u32(&request, IFLA_MTU, (uint32_t)strtoul(step->argv[4].text, NULL, 10));
  put(&request, IFLA_ADDRESS, mac, 6);
  struct rtattr *kind = nest(&request, IFLA_LINKINFO);
  put_text(&request, IFLA_INFO_KIND, "bridge");
  unnest(&request, kind);
  if (talk(fd, &request, NULL, 0) < 0 && errno != EEXIST) return fail(failure, errno, "create bridge %s", name);
  int index = link_index(name, -1);
  if (index < 0) return fail(failure, errno, "find bridge %s", name);
  if (add_address(fd, index, step->argv[2].text) < 0 && errno != EEXIST)
    return fail(failure, errno, "add %s to %s", step->argv[2].text, name);
  if (set_up(fd, index) < 0) return fail(failure, errno, "set %s up", name);
  close(fd);
  return 0;
}

// veth BRIDGE HOST_NAME PEER_NAME MTU PEER_MAC: the peer is made in the namespace we are in now.
int step_veth(struct context *context, const struct step *step, struct failure *failure) {
  const char *bridge = step->argv[1].text, *host = step->argv[2].text;
  int fd = context->netlink_host;
  uint32_t mtu = (uint32_t)strtoul(step->argv[4].text, NULL, 10);
  unsigned char mac[6];
  if (fd < 0) return fail(failure, EINVAL, "no netlink socket of the host's namespace");
  if (!parse_mac(step->argv[5].text, mac)) return fail(failure, EINVAL, "mac %s", step->argv[5].text);
  int master = link_index(bridge, fd);
  if (master < 0) return fail(failure, errno, "find bridge %s", bridge);
  int inside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (inside < 0) return fail(failure, errno, "open own network namespace");
  struct request request;
  struct ifinfomsg *link = begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof *link);
  link->ifi_flags = link->ifi_change = IFF_UP;
  put_text(&request, IFLA_IFNAME, host);
  put_u32(&request, IFLA_MTU, mtu);
  put_u32(&request, IFLA_MASTER, (uint32_t)master);
  struct rtattr *info = nest(&request, IFLA_LINKINFO);
  put_text(&request, IFLA_INFO_KIND, "veth");
  struct rtattr *data = nest(&request, IFLA_INFO_DATA);
  struct rtattr *peer = put(&request, VETH_INFO_PEER, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
  put_text(&request, IFLA_IFNAME, step->argv[3].text);
  put(&request, IFLA_ADDRESS, mac, 6);
  put_u32(&request, IFLA_MTU, mtu);
  put_u32(&request, IFLA_NET_NS_FD, (uint32_t)inside);
  unnest(&request, peer);
  unnest(&request, data);
  unnest(&request, info);
  int result = talk(fd, &request, NULL, 0);
  int error = errno;
  close(inside);
  if (result < 0) return fail(failure, error, "create veth %s", host);
  // Hairpin: a pod that reaches itself through its service must get its frames back on the same port.
  int index = link_index(host, fd);
  if (index < 0) return fail(failure, errno, "find veth %s", host);
  link = begin(&request, RTM_SETLINK, 0, sizeof *link);
  link->ifi_family = AF_BRIDGE;
  link->ifi_index = index;
  struct rtattr *port = nest(&request, IFLA_PROTINFO | NLA_F_NESTED);
  put(&request, IFLA_BRPORT_MODE, &(uint8_t){1}, 1);
  unnest(&request, port);
  if (talk(fd, &request, NULL, 0) < 0) return fail(failure, errno, "set hairpin on %s", host);
  return 0;
}

int step_address(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  int fd = open_netlink(), index = link_index(step->argv[1].text, -1);
  if (fd < 0 || index < 0 || add_address(fd, index, step->argv[2].text) < 0)
    return fail(failure, errno, "add %s to %s", step->argv[2].text, step->argv[1].text);
  close(fd);
  return 0;
}

int step_up(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  int fd = open_netlink(), index = link_index(step->argv[1].text, -1);
  if (fd < 0 || index < 0 || set_up(fd, index) < 0) return fail(failure, errno, "set %s up", step->argv[1].text);
  close(fd);
  return 0;
}

int step_default_route(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  unsigned char gateway[4];
  if (inet_pton(AF_INET, step->argv[1].text, gateway) != 1) return fail(failure, EINVAL, "gateway %s", step->argv[1].text);
  int fd = open_netlink();
  struct request request;
  struct rtmsg *route = begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *route);
  *route = (struct rtmsg){.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
  put(&request, RTA_GATEWAY, gateway, 4);
  if (fd < 0 || talk(fd, &request, NULL, 0) < 0) return fail(failure, errno, "default route via %s", step->argv[1].text);
  close(fd);
  return 0;
}

int step_link_delete(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  int fd = open_netlink(), index = link_index(step->argv[1].text, -1);
  if (index < 0 && errno == ENODEV) return close(fd), 0;
  struct request request;
  struct ifinfomsg *link = begin(&request, RTM_DELLINK, 0, sizeof *link);
  link->ifi_index = index;
  if (fd < 0 || index < 0 || talk(fd, &request, NULL, 0) < 0) return fail(failure, errno, "delete link %s", step->argv[1].text);
  close(fd);
  return 0;
}

// mtu: answers `mtu N`, that of the interface with the default route, or 1500.
int step_mtu(struct context *context, const struct step *step, struct failure *failure) {
  (void)step, (void)failure;
  FILE *file = fopen("/proc/self/net/route", "re");
  char line[256], name[32] = "", text[16] = "1500";
  while (file && fgets(line, sizeof line, file)) {
    char candidate[32];
    unsigned destination;
    if (sscanf(line, "%31s %x", candidate, &destination) == 2 && destination == 0) {
      strcpy(name, candidate);
      break;
    }
  }
  if (file) fclose(file);
  struct ifreq request = {0};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", name);
  if (*name && ioctl(fd, SIOCGIFMTU, &request) == 0) snprintf(text, sizeof text, "%d", request.ifr_mtu);
  close(fd);
  reply_add(context->reply, 2, (const char *[]){"mtu", text});
  return 0;
}
