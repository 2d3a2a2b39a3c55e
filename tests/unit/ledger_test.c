#include "backend/ledger.h"
#include "backend/say.h"
#include "backend/unread.h"
#include "check.h"

#include <string.h>

static void
books(void)
{
	struct ledger *l = ledger_new();
	struct ledger_mark mark = { .mark = ledger_next_mark(), .status = 200 };
	size_t n = 0;

	CHECK(ledger_n_attempts(l) == 0 && ledger_attempt(l, 0) == NULL,
	    "new books are empty");
	CHECK(ledger_find_mark(l, mark.mark) == NULL, "and know no mark");
	for (unsigned i = 0; i < 100; i++)
		n += ledger_enter(l, i + 1, 2) == i;
	CHECK(n == 100 && ledger_n_attempts(l) == 100,
	    "attempts are numbered in their order");
	CHECK(ledger_attempt(l, 40)->conn == 41 &&
		ledger_attempt(l, 40)->request == 2 &&
		ledger_attempt(l, 40)->ended_on == N_POINTS &&
		ledger_attempt(l, 40)->ending == N_ENDINGS,
	    "a new entry knows its connection and no end");
	ledger_name(ledger_edit(l, 3), "GET", "/id/a/b?c", "a");
	CHECK(strcmp(ledger_attempt(l, 3)->path, "/id/a/b?c") == 0 &&
		strcmp(ledger_attempt(l, 3)->id, "a") == 0,
	    "it is named later");
	ledger_edit(l, LEDGER_NONE)->read = 7;
	CHECK(ledger_edit(l, LEDGER_NONE)->read == 0 &&
		ledger_n_attempts(l) == 100,
	    "an entry that had no room can be written to and is forgotten");
	for (int i = 0; i < 50; i++) {
		ledger_enter_mark(l, &mark);
		mark.mark = ledger_next_mark();
		mark.status++;
	}
	CHECK(ledger_find_mark(l, mark.mark) == NULL,
	    "a mark that was not entered is not found");
	CHECK(ledger_find_mark(l, mark.mark - 50) != NULL &&
		ledger_find_mark(l, mark.mark - 50)->status == 200 &&
		ledger_find_mark(l, mark.mark - 1)->status == 249,
	    "every other is");
	ledger_free(l);
}

/* Of 25 attempts and as many marks, the last ten. */
static void
bounded_books(void)
{
	struct ledger *l = ledger_new();
	struct ledger_mark mark = { .status = 200 };
	unsigned long first = 0;
	int n_kept = 0;

	ledger_bound(l, 10);
	for (unsigned i = 0; i < 25; i++) {
		size_t n = ledger_enter(l, i + 1, 1);

		ledger_edit(l, n)->read = i;
		mark.mark = ledger_next_mark();
		first = i == 0 ? mark.mark : first;
		ledger_enter_mark(l, &mark);
	}
	CHECK(ledger_n_attempts(l) == 25 && ledger_n_forgotten(l) == 15,
	    "a bounded ledger counts what it has forgotten");
	CHECK(ledger_attempt(l, 14) == NULL && ledger_attempt(l, 25) == NULL,
	    "that is gone");
	for (size_t i = 15; i < 25; i++)
		n_kept += ledger_attempt(l, i)->read == i &&
		    ledger_attempt(l, i)->conn == i + 1;
	CHECK(n_kept == 10, "what remains stands where it stood");
	ledger_edit(l, 3)->read = 99;
	ledger_edit(l, 24)->whole = true;
	CHECK(ledger_attempt(l, 23)->read == 23 && ledger_attempt(l, 24)->whole,
	    "who writes to a forgotten one, spoils no other");
	CHECK(ledger_find_mark(l, first) == NULL &&
		ledger_find_mark(l, first + 15) != NULL &&
		ledger_find_mark(l, first + 24) != NULL,
	    "the marks of what remains are known");
	ledger_clear(l);
	CHECK(ledger_n_attempts(l) == 0 && ledger_n_forgotten(l) == 0 &&
		ledger_enter(l, 1, 1) == 0 && ledger_attempt(l, 0)->read == 0,
	    "cleared, it begins again");
	ledger_free(l);
}

static void
hashes(void)
{
	uint64_t h = LEDGER_HASH_INIT;

	CHECK(ledger_hash(h, "", 0) == 0xcbf29ce484222325u,
	    "the hash of nothing is the start value");
	CHECK(ledger_hash(h, "a", 1) == 0xaf63dc4c8601ec8cu, "FNV-1a of \"a\"");
	CHECK(ledger_hash(h, "foobar", 6) == 0x85944171f73967e8u,
	    "FNV-1a of \"foobar\"");
	CHECK(ledger_hash(ledger_hash(h, "foo", 3), "bar", 3) ==
		0x85944171f73967e8u,
	    "it can be fed in parts");
}

static void
ids(void)
{
	static const struct {
		const char *head;
		const char *id;
		int certain;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nX-Closerace-Id: a1\r\n\r\n", "a1", 1 },
		{ "GET / HTTP/1.1\r\nX-Closerace-Id: a1\r\nHo", "a1", 1 },
		{ "GET / HTTP/1.1\r\nx-closerace-id:  a1  \r\n\r\n", "a1", 1 },
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", 1 },
		{ "GET / HTTP/1.1\r\nHost: x\r\n", "", 0 },
		{ "GET /id/p7/x?y HTTP/1.1\r\nHost: x\r\n\r\n", "p7", 1 },
		{ "GET /id/p7 HTTP/1.1\r\n\r\n", "p7", 1 },
		{ "GET /id/p7?q HTTP/1.1\r\n\r\n", "p7", 1 },
		{ "GET /id/p7/x HTTP/1.1\r\nHost: x\r\n", "p7", 0 },
		{ "GET /id/p7/x HTTP/1.1\r\nX-Closerace-Id: h\r\n\r\n", "h",
		    1 },
		{ "GET http://h/id/p7/x HTTP/1.1\r\n\r\n", "p7", 1 },
		{ "GET /x/id/p7 HTTP/1.1\r\n\r\n", "", 1 },
		{ "GE", "", 0 },
		{ "", "", 0 },
		{ "\x01nonsense\r\n\r\n", "", 0 },
	};
	char id[LEDGER_ID_MAX];
	char longest[400] = "GET /id/", *at = longest + 8;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool certain =
		    ledger_id_of(rows[i].head, strlen(rows[i].head), id);

		CHECK(certain == rows[i].certain && strcmp(id, rows[i].id) == 0,
		    "row %zu: id '%s', %s", i, id,
		    certain ? "certain" : "not certain");
	}
	memset(at, 'x', 200);
	strcpy(at + 200, " HTTP/1.1\r\n\r\n");
	ledger_id_of(longest, strlen(longest), id);
	CHECK(strlen(id) == LEDGER_ID_MAX - 1, "a long id is cut, not overrun");
}

static void
unread(void)
{
	static const char two[] =
	    "GET /id/a/1 HTTP/1.1\r\nHost: t\r\n\r\n"
	    "POST /id/b/2 HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nabcd";
	struct ledger *l = ledger_new();
	struct unread u;
	const struct ledger_attempt *a, *b;

	unread_start(&u, l, 3, 5);
	for (size_t i = 0; i < sizeof two - 1; i++)
		unread_feed(&u, two + i, 1);
	a = ledger_attempt(l, 0);
	b = ledger_attempt(l, 1);
	CHECK(
	    ledger_n_attempts(l) == 2, "two pipelined requests, two attempts");
	CHECK(a->unread == 33 && strcmp(a->id, "a") == 0 && a->request == 5,
	    "the first ends where it ends");
	CHECK(b->unread == sizeof two - 1 - 33 && strcmp(b->id, "b") == 0 &&
		b->request == 6 && b->conn == 3,
	    "the second has its body");
	u.like.after_end = true;
	unread_count(&u, 9);
	CHECK(ledger_n_attempts(l) == 3 && ledger_attempt(l, 2)->unread == 9 &&
		ledger_attempt(l, 2)->after_end,
	    "bytes that cannot be looked at are counted all the same");
	ledger_free(l);

	l = ledger_new();
	unread_start(&u, l, 1, 1);
	unread_feed(&u, "\x02junk", 5);
	unread_feed(&u, two, sizeof two - 1);
	CHECK(ledger_n_attempts(l) == 1 &&
		ledger_attempt(l, 0)->unread == 5 + sizeof two - 1,
	    "behind junk there are no boundaries");
	ledger_free(l);
}

static void
says(void)
{
	static const char late[] = "HTTP/1.1 408 Late\r\nA: b\r\n\r\n";
	char out[256];
	int status;
	size_t n = say_mark(out, late, sizeof late - 1, 1234567890, &status);

	out[n] = '\0';
	CHECK(status == 408 &&
		strcmp(out,
		    "HTTP/1.1 408 Late\r\n"
		    "X-Closerace-Mark: 1234567890\r\n"
		    "A: b\r\n\r\n") == 0,
	    "a mark stands behind the status line");
	CHECK(n - (sizeof late - 1) <= SAY_MARK_MAX, "and fits");
	n = say_mark(out, "HTTP/1.1 4", 10, 1, &status);
	CHECK(n == 10 && status == 0, "half a status line stays as it is");
	n = say_mark(out, "junk\r\n", 6, 1, &status);
	CHECK(n == 6 && status == 0, "so does junk");
	n = say_mark(out, NULL, 0, 1, &status);
	CHECK(n == 0 && status == 0, "and nothing");
}

int
main(void)
{
	books();
	bounded_books();
	hashes();
	ids();
	unread();
	says();
	return CHECK_DONE();
}
