--- The findings in words.  Each says which rows it is about and what these must be: tests/findings/write.lua counts
-- them and refuses a claim that a row contradicts.  A condition gives fields of a row their values, or lists of values;
-- broken = "R5" is a rule that was broken by the cell's own request, next_broken by the client's next one.
--
--   system   whose; where  which rows;  is  what all of them are
--   cure     { variant =, is = }: the same rows of that variant; or { none = { variants } }: they are as bad
--   what     what happens, {n} being the number of cells; rule  which rule it touches; change  which setting changes it

local BY_END = { "fin", "rst", "half", "plain" }
local BEFORE_ANSWER = { "arrival", "request_byte", "request_line", "request_head", "request_end", "executed" }
local TOLD_END = { "fin", "half", "plain" }
local CL = "cl"

return {
  {
    system = "haproxy", title = "A race on a used client connection is told by a close without a byte",
    where = { point = BEFORE_ANSWER, ending = BY_END, connection = "reused", client = "later", second = "none" },
    is = { told = "closed", attempts = 1 },
    what = "Where the backend ends a used connection before it answers, HAProxy sends nothing again and "
      .. "closes the client's connection without a byte ({n} cells); on the first request of a client it answers "
      .. "502.",
    rule = "R3 advises to send an idempotent request again; no rule forbids to leave that to the client, but "
      .. "a client that knows nothing of backends meets the race itself.",
    cure = { variant = "haproxy:empty-no-post",
             where = { request = { "get", "head", "put", "delete" }, point = "executed" },
             is = { verdict = "twice", told = "200" } },
    change = "`retry-on conn-failure empty-response` sends it again.",
  },
  {
    system = "haproxy:empty", title = "`retry-on empty-response` repeats a POST",
    where = { request = { "post-empty", "post-small", "post-chunked" }, point = "executed", ending = BY_END,
              second = "none", connection = "reused", client = "later" },
    is = { verdict = "twice", told = "200", attempts = 2, broken = "R2" },
    what = "A POST that was executed, and whose connection then ended without an answer, is sent again and "
      .. "executed again ({n} cells).",
    rule = "R2: a method that is not idempotent must not be repeated by a proxy on its own.",
    cure = { variant = "haproxy:empty-no-post", is = { verdict = "ghost", attempts = 1 } },
    change = "`http-request disable-l7-retry if METH_POST` keeps it from being sent again.",
  },
  {
    system = "haproxy", title = "A 408 that crossed the request is given to the client",
    where = { point = "arrival", ending = "408+fin", client = "later" },
    is = { verdict = "garbled", told = "408", broken = "R8" },
    what = "A backend that says 408 on an idle connection just as a request arrives has not read it; HAProxy "
      .. "passes the 408 on as the answer ({n} cells).",
    rule = "R8: on a used connection a 408 with close answers nothing (RFC 9110 15.5.9).",
    cure = { none = { "haproxy:always", "haproxy:empty", "haproxy:none" } },
    change = "None of the settings that were tried changes it.",
  },
  {
    system = "perlbal", title = "The client of a request whose connection ended is forgotten",
    where = { point = BEFORE_ANSWER, ending = BY_END, second = "none" },
    is = { verdict = "hung", attempts = 1, broken = "R1" },
    what = "Where the backend ends the connection without a byte of an answer, by FIN or reset, Perlbal "
      .. "neither sends the request again nor tells the client, which waits ({n} cells, each given up after 0.3 s "
      .. "in which nothing moved any more).",
    rule = "R1: a close is to be recovered from; R3 would have it sent again.",
    cure = { none = { "perlbal:not-persistent", "perlbal:verify", "perlbal:buffered" } },
    change = "Neither `persist_backend = off` nor `verify_backend` nor `buffer_uploads` changes it, as it "
      .. "happens on fresh connections, too.",
  },
  {
    system = "perlbal", title = "A chunked response that was cut is passed on as whole",
    where = { response = "chunked", point = { "response_byte", "response_head" }, ending = BY_END,
              told = "200" },
    is = { verdict = "garbled", broken = "R5" },
    what = "A chunked response that the backend cut, by FIN or reset, looks complete to the client ({n} "
      .. "cells).",
    rule = "R5: a cut response must not look complete.",
    cure = { none = { "perlbal:not-persistent", "perlbal:verify" } },
    change = "None of the settings that were tried changes it.",
  },
  {
    system = "perlbal", title = "A second response behind the first one answers the next request",
    where = { request = { "get", "put", "delete", "post-empty", "post-small" }, point = "response_end",
              ending = "200+fin", response = CL },
    is = { verdict = "clean", next_broken = "R8" },
    what = "Where the backend sends a response that nobody has asked for right behind the one that was, the "
      .. "client gets it as the answer of its next request ({n} cells).",
    rule = "R8: a request gets its own response; what comes unsolicited retires the connection.",
    cure = { none = { "perlbal:not-persistent", "perlbal:verify" } },
    change = "`persist_backend = off` does not change it.",
  },
  {
    system = "nginx", title = "A 103 is passed on as the final response",
    where = { point = "interim", ending = TOLD_END },
    is = { verdict = "hung", broken = "R1" },
    what = "nginx passes `103 Early Hints` on and nothing behind it; the client waits for the final response "
      .. "until it gives up ({n} cells in which the backend closes behind the 103).",
    rule = "R1: the close was told, and the client is not.",
    cure = { none = { "nginx:off", "nginx:two" } },
    change = "`proxy_next_upstream` does not change it.",
  },
  {
    system = "nginx", title = "A request is repeated although a byte of its response had come",
    where = { request = { "get", "put", "delete" }, point = "response_byte", offset = "1", ending = BY_END,
              connection = "reused" },
    is = { verdict = "twice", broken = "R5" },
    what = "On a used connection that ends within the response's head, an idempotent request is sent again, "
      .. "and is executed a second time ({n} cells).",
    rule = "R5: once a byte of a final response was received nothing is repeated.",
    cure = { variant = "nginx:off", is = { verdict = "ghost", attempts = 1 } },
    change = "`proxy_next_upstream off` ends it, together with every other repetition.",
  },
  {
    system = "nginx:two-non-idempotent", title = "`proxy_next_upstream … non_idempotent` repeats a POST",
    where = { request = { "post-empty", "post-small", "post-chunked" }, point = "executed", ending = BY_END,
              second = "none" },
    is = { verdict = "twice", attempts = 2, broken = "R2" },
    what = "A POST that was executed and not answered is sent to the next server and executed again ({n} "
      .. "cells).",
    rule = "R2: a method that is not idempotent must not be repeated by a proxy on its own.",
    cure = { variant = "nginx:two", is = { verdict = "ghost", attempts = 1 } },
    change = "Without the word `non_idempotent` a POST is sent once.",
  },
  {
    system = "nginx", title = "A 408 that crossed the request is given to the client",
    where = { point = "arrival", ending = "408+fin" },
    is = { verdict = "garbled", told = "408", broken = "R8" },
    what = "As with HAProxy, the 408 of a backend that gave up waiting is passed on as the answer ({n} "
      .. "cells).",
    rule = "R8: on a used connection a 408 with close answers nothing (RFC 9110 15.5.9).",
    cure = { none = { "nginx:off", "nginx:two" } },
    change = "None of the settings that were tried changes it.",
  },
  {
    system = "varnish", title = "A POST with an empty body is repeated",
    where = { request = "post-empty", point = "executed", ending = BY_END, connection = "reused", second = "none" },
    is = { verdict = "twice", attempts = 2, broken = "R2" },
    what = "On a used connection that ends without an answer Varnish sends a POST with `Content-Length: 0` "
      .. "once more, as it does with a GET; it is executed twice ({n} cells).",
    rule = "R2: a method that is not idempotent must not be repeated by a proxy on its own.",
    cure = { variant = "varnish:cached-body", is = { verdict = "twice" } },
    change = "No parameter that was tried switches the one further sending off; `std.cache_req_body` extends "
      .. "it to every POST.",
  },
  {
    system = "squid", title = "A head that was cut behind its first byte becomes a 200",
    where = { point = "response_byte", offset = "1", ending = TOLD_END },
    is = { verdict = "garbled", told = "200", broken = "R8" },
    what = "Where the connection ends by FIN behind the first byte of the response, Squid makes an answer of "
      .. "its own of it and tells the client 200 ({n} cells).",
    rule = "R8: a request gets its own response; this one nobody has given.",
    cure = { none = { "squid:pconn-for-all", "squid:one-try" } },
    change = "None of the settings that were tried changes it.",
  },
  {
    system = "trafficserver", title = "A request is repeated although a byte of its response had come",
    where = { request = { "get", "head" }, point = "response_byte", offset = "1", ending = BY_END },
    is = { verdict = "twice", broken = "R5" },
    what = "A GET or HEAD whose response ends within its head is sent again, on fresh connections, too, and "
      .. "is executed again each time ({n} cells).",
    rule = "R5: once a byte of a final response was received nothing is repeated.",
    cure = { variant = "trafficserver:no-retries", is = { attempts = 1 } },
    change = "`connect_attempts_max_retries 0` ends it.",
  },
  {
    system = "caddy", title = "A chunked response that was cut is passed on as whole",
    where = { response = "chunked", point = "response_head", ending = BY_END },
    is = { verdict = "garbled", told = "200", broken = "R5" },
    what = "Where a chunked response is cut behind its head, Caddy ends its own chunked response in order: "
      .. "the client gets a complete one that lacks its body ({n} cells).",
    rule = "R5: a cut response must not look complete.",
    cure = { none = { "caddy:lb-try" } },
    change = "`lb_try_duration` does not change it.",
  },
  {
    system = "lighttpd", title = "A client whose response was cut waits",
    where = { request = { "get", "put", "post-small" }, response = CL, point = "response_byte",
              offset = { "mid", "-1" }, ending = TOLD_END },
    is = { verdict = "hung", broken = "R1" },
    what = "lighttpd opens a connection for each request, so no idle one can end under it; but where the "
      .. "backend closes by FIN within a body whose length it has told, the client is neither answered nor closed "
      .. "in the time that was waited ({n} cells).",
    rule = "R1: a close is to be recovered from.",
    cure = { none = { "lighttpd:streaming" } },
    change = "`server.stream-request-body` does not change it.",
  },
}
