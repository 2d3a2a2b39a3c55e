/* witness.c - see witness.h. */
#include "backend/witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/stream.h"

/* A peer that never speaks again would be remembered for ever. */
#define VANISHED_MAX 1024
#define PACKET_MAX   (128 * 1024)
/* Of packets that wait to be read; the kernel may grant less. */
#define ROOM (1024 * 1024)

struct vanished {
	struct vanished *next; /* youngest first */
	struct sockaddr_in peer;
	struct unread unread;
};

struct witness {
	int fd;
	unsigned short port;
	struct event *event;
	struct vanished *list;
	size_t n;
};

/* Where a packet is read; it is used up before the next one. */
static unsigned char packet[PACKET_MAX];

/* Is it TCP to that port?  Let the kernel decide: the socket would see all of
 * the machine's loopback traffic otherwise. */
static int
filter_port(int fd, unsigned short port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, PACKET_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	return setsockopt(
	    fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* How much may wait to be read?  With next to nothing, the kernel soon copies
 * no more; to exchange the filter instead takes it some 20 us. */
static int
set_room(int fd, int bytes)
{
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static struct vanished **
find(struct witness *w, const struct sockaddr_in *peer)
{
	struct vanished **at = &w->list;

	while (*at != NULL &&
	    ((*at)->peer.sin_port != peer->sin_port ||
		(*at)->peer.sin_addr.s_addr != peer->sin_addr.s_addr))
		at = &(*at)->next;
	return at;
}

static void
unlink_at(struct witness *w, struct vanished **at)
{
	struct vanished *v = *at;

	*at = v->next;
	free(v);
	w->n--;
}

static void
see(struct witness *w, const unsigned char *bytes, size_t size)
{
	struct iphdr ip;
	struct tcphdr tcp;
	struct sockaddr_in peer = { .sin_family = AF_INET };
	struct vanished *v;
	size_t head;

	if (size < sizeof ip)
		return;
	memcpy(&ip, bytes, sizeof ip);
	head = ip.ihl * 4u;
	if (ip.version != 4 || size < head + sizeof tcp)
		return;
	memcpy(&tcp, bytes + head, sizeof tcp);
	head += tcp.doff * 4u;
	peer.sin_addr.s_addr = ip.saddr;
	peer.sin_port = tcp.source;
	/* The port begins another connection. */
	if (tcp.syn)
		witness_forget(w, &peer);
	v = *find(w, &peer);
	if (v != NULL && size > head)
		unread_feed(&v->unread, bytes + head, size - head);
}

static void
take_packets(struct witness *w)
{
	struct stream_result r;

	while ((r = stream_read(w->fd, packet, sizeof packet)).outcome ==
	    STREAM_DONE)
		see(w, packet, r.n);
}

static void
on_packet(evutil_socket_t fd, short what, void *arg)
{
	take_packets(arg);
}

/* To close a packet socket takes the kernel some 10 ms, as it waits for every
 * processor to have done with it.  So one is kept for the next backend. */
static struct {
	int fd;
	unsigned short port;
} spare = { .fd = -1 };

static int
take_spare(unsigned short port)
{
	int fd = spare.fd;

	if (fd < 0)
		return -1;
	spare.fd = -1;
	if ((spare.port != port && filter_port(fd, port) != 0) ||
	    set_room(fd, ROOM) != 0) {
		close(fd);
		return -1;
	}
	/* What it saw for the one before is nobody's. */
	while (stream_read(fd, packet, sizeof packet).outcome == STREAM_DONE)
		continue;
	return fd;
}

static void
park(int fd, unsigned short port)
{
	if (spare.fd >= 0 || set_room(fd, 0) != 0) {
		close(fd);
		return;
	}
	spare.fd = fd;
	spare.port = port;
}

static int
open_socket(unsigned short port)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP) };
	int fd =
	    socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	at.sll_ifindex = (int)if_nametoindex("lo");
	/* Bound to IP packets, it sees each of them once, on its way in. */
	if (at.sll_ifindex == 0 || filter_port(fd, port) != 0 ||
	    set_room(fd, ROOM) != 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

const char *
witness_lacks(void)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno == EPERM
		    ? "a packet socket needs CAP_NET_RAW in this network "
		      "namespace"
		    : "no packet socket can be made here";
	close(fd);
	return NULL;
}

struct witness *
witness_new(struct event_base *base, unsigned short port)
{
	struct witness *w = malloc(sizeof *w);

	if (w == NULL)
		return NULL;
	w->list = NULL;
	w->n = 0;
	w->port = port;
	w->fd = take_spare(port);
	if (w->fd < 0)
		w->fd = open_socket(port);
	w->event = w->fd < 0 ? NULL
			     : event_new(base, w->fd,
				   EV_READ | EV_PERSIST | EV_ET, on_packet, w);
	if (w->event == NULL || event_add(w->event, NULL) != 0) {
		witness_free(w);
		return NULL;
	}
	return w;
}

void
witness_free(struct witness *w)
{
	if (w == NULL)
		return;
	while (w->list != NULL)
		unlink_at(w, &w->list);
	if (w->event != NULL)
		event_free(w->event);
	if (w->fd >= 0)
		park(w->fd, w->port);
	free(w);
}

void
witness_catch_up(struct witness *w)
{
	if (w != NULL)
		take_packets(w);
}

void
witness_watch(struct witness *w, const struct sockaddr_in *peer,
    const struct unread *unread)
{
	struct vanished *v = malloc(sizeof *v);
	struct vanished **last = &w->list;

	if (v == NULL)
		return;
	v->next = w->list;
	v->peer = *peer;
	v->unread = *unread;
	w->list = v;
	if (++w->n <= VANISHED_MAX)
		return;
	while ((*last)->next != NULL)
		last = &(*last)->next;
	unlink_at(w, last);
}

void
witness_forget(struct witness *w, const struct sockaddr_in *peer)
{
	struct vanished **at;

	if (w == NULL)
		return;
	at = find(w, peer);
	if (*at != NULL)
		unlink_at(w, at);
}

void
witness_forked(void)
{
	if (spare.fd >= 0)
		close(spare.fd);
	spare.fd = -1;
}
