--- Go, net/http: one Client.  Its Transport sends again, on its own, what is idempotent and failed on a connection used
--- before; a request with an Idempotency-Key counts as idempotent, even with an empty one that is not sent.
return {
  title = "Go net/http",
  program = "go",
  package = "golang-go",
  version = { args = { "version" }, pattern = "go([%d.]+) " },
  kind = "client",
  argv = { "sh", "-c", '"$PROGRAM" build -o "$DIR/adapter" "$DIR/main.go" && exec "$DIR/adapter"' },
  env = {
    "GOGC=off", "GOMEMLIMIT=512MiB",
    "HOME=$DIR", "GOPATH=$DIR/gopath", "GOCACHE=$DIR/cache", "GOTMPDIR=$DIR", "GOENV=off", "GOFLAGS=",
    "GO111MODULE=off", "CGO_ENABLED=1",  -- so the distribution's compiled packages are taken
  },
  files = {
    ["main.go"] = [[
package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"
)

var client = &http.Client{
	Transport: &http.Transport{DisableCompression: true},
	Timeout:   time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func forward(in *http.Request, body []byte) (*http.Response, []byte, error) {
	out, err := http.NewRequest(in.Method, "http://$BACKEND"+in.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if len(in.TransferEncoding) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.GetBody = nil
		out.ContentLength = -1
	}
	for _, name := range []string{"X-Closerace-Id", "Idempotency-Key", "Content-Type"} {
		if value := in.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	if "${idempotent}" == "all" && out.Header.Get("Idempotency-Key") == "" {
		out.Header["Idempotency-Key"] = []string{}
	}
	response, err := client.Do(out)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	received, err := io.ReadAll(response.Body)
	return response, received, err
}

func serve(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	response, received, err := forward(in, body)
	status := http.StatusBadGateway
	if err != nil {
		w.Header().Set("X-Client-Error", "1")
		received = []byte(err.Error() + "\n")
	} else {
		status = response.StatusCode
		for _, name := range []string{"X-Closerace-Mark", "Content-Type"} {
			if value := response.Header.Get(name); value != "" {
				w.Header().Set(name, value)
			}
		}
	}
	empty := in.Method == "HEAD" || status == 204 || status == 304
	if !empty {
		w.Header().Set("Content-Length", strconv.Itoa(len(received)))
	}
	w.WriteHeader(status)
	if !empty {
		w.Write(received)
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.FileListener(os.NewFile($LISTEN_FD, "listener"))
	if err != nil {
		panic(err)
	}
	panic(http.Serve(listener, http.HandlerFunc(serve)))
}
]],
  },
  settings = {
    { name = "idempotent", help = "which requests it is told are idempotent: by their method or key, or all",
      values = { "method", "all" } },
  },
  variants = {
    { name = "all-idempotent", idempotent = "all" },
  },
  patience_ms = 2000,
  slow = true,
  trap = "It is compiled first. A body that came chunked cannot be had again, so such a request is sent once. The "
    .. "garbage collector, where it runs during a race, changes the order of the goroutines; here it is off (`GOGC`), "
    .. "up to 512 MiB.",
}
