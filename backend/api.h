/* api.h - the requests of the control API: which are served, and what they are
 * answered with.  control.h has the paths; connections are control.c's. */
#ifndef BACKEND_API_H
#define BACKEND_API_H

#include <microhttpd.h>
#include <stdbool.h>

#include "backend/backend.h"

/* Where a request came to. */
struct api_place {
	struct backend *backend;
	/* hosts that a request may name, as guard_host() takes them; NULL: any
	 * host, for no browser gets there */
	const char *const *names;
};

/* libmicrohttpd's callbacks; *context begins as NULL. */
enum MHD_Result api_handle(const struct api_place *, struct MHD_Connection *,
    const char *url, const char *method, const char *upload,
    size_t *upload_size, void **context);
void api_completed(void **context);

#endif
