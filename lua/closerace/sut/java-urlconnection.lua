--- Java, HttpURLConnection.  A request whose connection ended before a response is sent once more, a POST too unless
--- retryPost is false, and anything but a body that is streamed.
return {
  title = "Java HttpURLConnection",
  program = "java",
  package = "openjdk-17-jdk-headless",
  version = { args = { "-XX:-UsePerfData", "-version" }, pattern = 'version "([%d.]+)' },
  kind = "client",
  argv = {
    "$PROGRAM", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto", "-Xmx64m",
    "-XX:ActiveProcessorCount=1",
    "-XX:ErrorFile=$DIR/error.log", "-Djava.io.tmpdir=$DIR", "-Duser.home=$DIR", "-Dsun.net.httpserver.nodelay=true",
    "-Dsun.net.http.retryPost=${retry-post}",
    "$DIR/Adapter.java",
  },
  files = {
    ["Adapter.java"] = [[
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URL;

public class Adapter {
  static class Response {
    int status;
    HttpURLConnection connection;
    byte[] body;
  }

  static Response forward(HttpExchange in, byte[] body) throws Exception {
    HttpURLConnection out = (HttpURLConnection) new URL("http://$BACKEND" + in.getRequestURI()).openConnection();
    out.setRequestMethod(in.getRequestMethod());
    out.setConnectTimeout(1000);
    out.setReadTimeout(1000);
    out.setInstanceFollowRedirects(false);
    out.setUseCaches(false);
    for (String name : new String[] { "X-Closerace-Id", "Idempotency-Key", "Content-Type" }) {
      String value = in.getRequestHeaders().getFirst(name);
      if (value != null)
        out.setRequestProperty(name, value);
    }
    boolean chunked = in.getRequestHeaders().containsKey("Transfer-Encoding");
    if (chunked || in.getRequestHeaders().containsKey("Content-Length")) {
      out.setDoOutput(true);
      if (chunked)
        out.setChunkedStreamingMode(0);
      try (OutputStream stream = out.getOutputStream()) {
        stream.write(body);
      }
    }
    Response response = new Response();
    response.connection = out;
    response.status = out.getResponseCode();
    if (response.status < 0)
      throw new IOException("not HTTP");
    InputStream stream = response.status >= 400 ? out.getErrorStream() : out.getInputStream();
    response.body = stream == null ? new byte[0] : stream.readAllBytes();
    if (stream != null)
      stream.close();
    return response;
  }

  static void serve(HttpExchange in) throws IOException {
    byte[] body = in.getRequestBody().readAllBytes();
    int status = 502;
    try {
      Response response = forward(in, body);
      status = response.status;
      for (String name : new String[] { "X-Closerace-Mark", "Content-Type" })
        if (response.connection.getHeaderField(name) != null)
          in.getResponseHeaders().set(name, response.connection.getHeaderField(name));
      body = response.body;
    } catch (Exception error) {
      in.getResponseHeaders().set("X-Client-Error", "1");
      body = (error + "\n").getBytes("UTF-8");
    }
    boolean empty = in.getRequestMethod().equals("HEAD") || status == 204 || status == 304 || body.length == 0;
    in.sendResponseHeaders(status, empty ? -1 : body.length);
    if (!empty)
      in.getResponseBody().write(body);
    in.close();
  }

  public static void main(String[] args) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", $LISTEN_PORT), 0);
    server.createContext("/", Adapter::serve);
    server.start();
  }
}
]],
  },
  settings = {
    { name = "retry-post", help = "sun.net.http.retryPost", values = { "true", "false" } },
  },
  variants = {
    { name = "no-retry-post", ["retry-post"] = "false" },
  },
  patience_ms = 2500,
  slow = true,
  trap = "It has no PATCH, and a GET with a body becomes a POST. An idle connection is kept for 5 s.",
}
