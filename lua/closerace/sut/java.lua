--- Java, java.net.http.HttpClient.  A GET or HEAD whose connection ended before a response is sent once more;
--- enableAllMethodRetry does that for every method.  disableRetryConnect concerns failed connects only.
return {
  title = "Java HttpClient",
  program = "java",
  package = "openjdk-17-jdk-headless",
  version = { args = { "-XX:-UsePerfData", "-version" }, pattern = 'version "([%d.]+)' },
  kind = "client",
  argv = {
    "$PROGRAM", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto", "-Xmx64m",
    "-XX:ActiveProcessorCount=1",
    "-XX:ErrorFile=$DIR/error.log", "-Djava.io.tmpdir=$DIR", "-Duser.home=$DIR", "-Dsun.net.httpserver.nodelay=true",
    "-Djdk.httpclient.enableAllMethodRetry=${all-method-retry}",
    "-Djdk.httpclient.disableRetryConnect=${no-connect-retry}",
    "-Djdk.httpclient.redirects.retrylimit=${attempts}",
    "$DIR/Adapter.java",
  },
  files = {
    ["Adapter.java"] = [[
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

public class Adapter {
  static final Duration TIMEOUT = Duration.ofSeconds(1);
  static final HttpClient CLIENT = HttpClient.newBuilder()
      .version(HttpClient.Version.HTTP_1_1).connectTimeout(TIMEOUT).executor(Runnable::run).build();

  static HttpResponse<byte[]> forward(HttpExchange in, byte[] body) throws Exception {
    BodyPublisher publisher = in.getRequestHeaders().containsKey("Transfer-Encoding")
        ? BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(body))
        : in.getRequestHeaders().containsKey("Content-Length") ? BodyPublishers.ofByteArray(body)
        : BodyPublishers.noBody();
    HttpRequest.Builder out = HttpRequest.newBuilder(URI.create("http://$BACKEND" + in.getRequestURI()))
        .timeout(TIMEOUT).method(in.getRequestMethod(), publisher);
    for (String name : new String[] { "X-Closerace-Id", "Idempotency-Key", "Content-Type" }) {
      String value = in.getRequestHeaders().getFirst(name);
      if (value != null)
        out.header(name, value);
    }
    CompletableFuture<HttpResponse<byte[]>> future = CLIENT.sendAsync(out.build(), BodyHandlers.ofByteArray());
    try {
      return future.get(1200, TimeUnit.MILLISECONDS);
    } catch (ExecutionException error) {
      throw (Exception) error.getCause();
    } catch (TimeoutException error) {
      future.cancel(true);
      throw error;
    }
  }

  static void serve(HttpExchange in) throws IOException {
    byte[] body = in.getRequestBody().readAllBytes();
    int status = 502;
    try {
      HttpResponse<byte[]> response = forward(in, body);
      status = response.statusCode();
      for (String name : new String[] { "X-Closerace-Mark", "Content-Type" })
        response.headers().firstValue(name).ifPresent(value -> in.getResponseHeaders().set(name, value));
      body = response.body();
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
    { name = "all-method-retry", help = "jdk.httpclient.enableAllMethodRetry", values = { "false", "true" } },
    { name = "no-connect-retry", help = "jdk.httpclient.disableRetryConnect", values = { "false", "true" } },
    { name = "attempts", help = "jdk.httpclient.redirects.retrylimit, of redirects and retries together",
      values = { "5", "1" } },
  },
  variants = {
    { name = "all-methods", ["all-method-retry"] = "true" },
  },
  patience_ms = 2500,
  slow = true,
  trap = "The timeout of a request is over with the response's head, so a future waits for the rest.",
}
