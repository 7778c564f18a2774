import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.HexFormat;
import java.util.UUID;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Sends a message over MESH, then receives it as its recipient. JDK 17 or newer, no libraries.
 *
 * <p>MESH_URL says where; over https it uses the key stores that javax.net.ssl's properties name.
 */
public class Client {
    static final String URL = System.getenv().getOrDefault("MESH_URL", "http://127.0.0.1:8700");
    static final DateTimeFormatter MINUTE = DateTimeFormatter.ofPattern("yyyyMMddHHmm");
    static final HttpClient HTTP = HttpClient.newHttpClient();

    record Mailbox(String id, String password, String sharedKey) {
        String token() throws Exception {
            var nonce = UUID.randomUUID().toString();
            var minute = MINUTE.format(ZonedDateTime.now(ZoneOffset.UTC));
            var hmac = Mac.getInstance("HmacSHA256");
            hmac.init(new SecretKeySpec(sharedKey.getBytes(UTF_8), "HmacSHA256"));
            var signed = String.join(":", id, nonce, "0", password, minute);
            var hash = HexFormat.of().formatHex(hmac.doFinal(signed.getBytes(UTF_8)));
            return "NHSMESH " + String.join(":", id, nonce, "0", minute, hash);
        }

        HttpResponse<String> call(String method, String path, String body, String... headers)
                throws Exception {
            var request = HttpRequest.newBuilder(URI.create(URL + "/messageexchange/" + id + path))
                    .headers("Authorization", token(), "Accept", "application/vnd.mesh.v2+json")
                    .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
            if (headers.length > 0) request.headers(headers);
            var response = HTTP.send(request.build(), BodyHandlers.ofString());
            if (response.statusCode() < 300) return response;
            throw new IOException(method + " " + path + ": " + response.statusCode() + " " + response.body());
        }
    }

    public static void main(String[] arguments) throws Exception {
        var sender = new Mailbox("X26ABC1", "password", "TestKey");
        var recipient = new Mailbox("X26ABC2", "password", "TestKey");

        sender.call("POST", "", null, // the handshake
                "Mex-ClientVersion", "example==1.0",
                "Mex-OSName", System.getProperty("os.name"),
                "Mex-OSVersion", System.getProperty("os.version"));
        sender.call("POST", "/outbox", "hello",
                "Content-Type", "application/octet-stream",
                "Mex-To", recipient.id(),
                "Mex-WorkflowID", "TEST_WORKFLOW",
                "Mex-LocalID", "hello-1");

        var inbox = recipient.call("GET", "/inbox", null).body(); // to be read with a JSON library
        for (var found : Pattern.compile("\\d{20}_[0-9A-F]{6}").matcher(inbox).results().toList()) {
            var message = recipient.call("GET", "/inbox/" + found.group(), null);
            System.out.println(message.headers().firstValue("Mex-From").orElse("") + " " + message.body());
            recipient.call("PUT", "/inbox/" + found.group() + "/status/acknowledged", null);
        }
    }
}
