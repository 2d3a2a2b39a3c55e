/* fault.h - when and how the backend ends a connection.
 *
 * A fault is a close point, an ending and a match.  Pure: no I/O; facts about
 * a connection and its request go in, a decision comes out.
 */
#ifndef BACKEND_FAULT_H
#define BACKEND_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Close points: where in a connection's life it ends.
 *	symbol		word		*/
#define BACKEND_POINTS(X)                       \
	X(POINT_ACCEPT, "accept")               \
	X(POINT_IDLE, "idle")                   \
	X(POINT_ARRIVAL, "arrival")             \
	X(POINT_REQUEST_BYTE, "request_byte")   \
	X(POINT_REQUEST_LINE, "request_line")   \
	X(POINT_REQUEST_HEAD, "request_head")   \
	X(POINT_REQUEST_END, "request_end")     \
	X(POINT_EXECUTED, "executed")           \
	X(POINT_INTERIM, "interim")             \
	X(POINT_RESPONSE_BYTE, "response_byte") \
	X(POINT_RESPONSE_HEAD, "response_head") \
	X(POINT_RESPONSE_END, "response_end")

/* Endings: how it ends. */
#define BACKEND_ENDINGS(X)         \
	X(ENDING_FIN, "fin")       \
	X(ENDING_RST, "rst")       \
	X(ENDING_HALF, "half")     \
	X(ENDING_PLAIN, "plain")   \
	X(ENDING_VANISH, "vanish") \
	X(ENDING_STALL, "stall")

#define X(symbol, word) symbol,
enum close_point { BACKEND_POINTS(X) N_POINTS };
enum ending { BACKEND_ENDINGS(X) N_ENDINGS };
#undef X

const char *fault_point_name(enum close_point);
const char *fault_ending_name(enum ending);

#define FAULT_SAY_MAX 1024

struct fault {
	enum close_point on;
	size_t at;    /* request_byte, response_byte: N, from 1 */
	int after_ms; /* idle only */
	enum ending close;
	bool announce;		 /* the response says Connection: close */
	bool optional;		 /* need not fire */
	unsigned times;		 /* how often it fires; default 1 */
	char say[FAULT_SAY_MAX]; /* bytes sent first */
	size_t say_size;

	/* The match; what is absent matches anything. */
	unsigned conn; /* n-th accepted, from 1; 0: any */
	/* n-th on its connection, from 1; 0: any. accept: 0.  idle: finished
	 * requests. */
	unsigned request;
	char method[16]; /* "": any */
	char path[256];	 /* exact, without the query; "": any */
	char id[64];	 /* "": any */

	unsigned n_fired; /* kept by the backend */
};

/* Fill in the defaults: times = 1, on and close invalid (N_POINTS, N_ENDINGS)
 * until they are set. */
void fault_init(struct fault *);

/* Set one key from text; keys are the field names above, "say" included
 * (size tells its length; the other values are strings).
 *
 * Returns: 0, or -1 with a sentence that names the key and what is allowed.
 */
int fault_set(struct fault *, const char *key, const char *value, size_t size,
    char *error, size_t error_size);

/* Set several keys from one line, as in
 * "conn=1,request=2,on=arrival,close=rst", and check the fault.  In a value
 * \r \n \t \\ \, and \xHH stand for those bytes.
 *
 * Returns: as fault_set().
 */
int fault_parse(
    struct fault *, const char *line, char *error, size_t error_size);

/* Write the line that fault_parse() would read.  Returns: its length, as
 * snprintf() does. */
size_t fault_print(const struct fault *, char *line, size_t line_size);

/* Check a complete fault: on and close given, `at` where and only where the
 * point wants it, after_ms only with idle, announce only where a response
 * precedes the ending, accept and idle without method, path and id.
 *
 * Returns: as fault_set().
 */
int fault_check(const struct fault *, char *error, size_t error_size);

/* Names of all keys, ended by NULL. */
const char *const *fault_keys(void);

/* What is known of a request so far. */
struct fault_facts {
	unsigned conn;
	unsigned request;
	const char *method; /* NULL: not known yet */
	const char *path;   /* without the query; NULL: not known yet */
	const char *id;	    /* "": it has none; NULL: not known yet */
};

enum fault_match { FAULT_NO, FAULT_YES, FAULT_UNKNOWN };

/* Does the fault's match fit?  UNKNOWN where a key that decides is not known
 * yet.  A fault that has fired its times, never fits. */
enum fault_match fault_matches(
    const struct fault *, const struct fault_facts *);

/* Choose for a request (request is the number of the request to come or
 * being read): the first fault of the table that fits.  ACCEPT and IDLE
 * faults are passed over.
 *
 * Returns: its index; -1 where none fits; -2 where it is not known yet.
 */
int fault_choose(
    const struct fault *table, size_t n, const struct fault_facts *);

/* The same for an ACCEPT fault of the n-th connection, and for an IDLE fault
 * after n_finished requests on it.  Index or -1. */
int fault_choose_accept(const struct fault *table, size_t n, unsigned conn);
int fault_choose_idle(
    const struct fault *table, size_t n, unsigned conn, unsigned n_finished);

#endif
