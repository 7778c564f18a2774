// Sends a message over MESH, then receives it as its recipient. .NET or Mono, no packages.
// MESH_URL says where; over https it shows certs/X26ABC1.p12, which Mono cannot.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

class Mailbox
{
    static readonly string Url = Environment.GetEnvironmentVariable("MESH_URL") ?? "http://127.0.0.1:8700";
    static readonly HttpClient Http = new HttpClient(Handler());

    public string Id, Password, SharedKey;

    string Token()
    {
        var nonce = Guid.NewGuid();
        var minute = DateTime.UtcNow.ToString("yyyyMMddHHmm", CultureInfo.InvariantCulture);
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(SharedKey)))
        {
            var hash = hmac.ComputeHash(Encoding.UTF8.GetBytes($"{Id}:{nonce}:0:{Password}:{minute}"));
            return $"{Id}:{nonce}:0:{minute}:{string.Concat(hash.Select(b => b.ToString("x2")))}";
        }
    }

    public async Task<HttpResponseMessage> Call(
        HttpMethod method, string path, Dictionary<string, string> headers = null, byte[] body = null)
    {
        var request = new HttpRequestMessage(method, $"{Url}/messageexchange/{Id}{path}");
        request.Headers.Authorization = new AuthenticationHeaderValue("NHSMESH", Token());
        request.Headers.Accept.ParseAdd("application/vnd.mesh.v2+json");
        foreach (var header in headers ?? new Dictionary<string, string>())
            request.Headers.Add(header.Key, header.Value);
        if (body != null)
            request.Content = new ByteArrayContent(body);
        var response = await Http.SendAsync(request);
        if (!response.IsSuccessStatusCode)
            throw new HttpRequestException(
                $"{method} {path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
        return response;
    }

    static HttpClientHandler Handler()
    {
        var handler = new HttpClientHandler();
        if (!Url.StartsWith("https:"))
            return handler;
        var authority = new X509Certificate2("certs/ca.crt");
        handler.ClientCertificates.Add(new X509Certificate2("certs/X26ABC1.p12", "changeit"));
        handler.ServerCertificateCustomValidationCallback = (request, certificate, chain, errors) =>
        {
            if (errors != SslPolicyErrors.RemoteCertificateChainErrors)
                return errors == SslPolicyErrors.None;
            chain.ChainPolicy.ExtraStore.Add(authority);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.Build(certificate); // false: no system knows the authority, and nothing else may be wrong
            var root = chain.ChainElements.Cast<X509ChainElement>().Last().Certificate;
            return chain.ChainStatus.All(problem => problem.Status == X509ChainStatusFlags.UntrustedRoot)
                && root.RawData.SequenceEqual(authority.RawData);
        };
        return handler;
    }
}

static class Client
{
    static void Main() => Run().GetAwaiter().GetResult();

    static async Task Run()
    {
        var sender = new Mailbox { Id = "X26ABC1", Password = "password", SharedKey = "TestKey" };
        var recipient = new Mailbox { Id = "X26ABC2", Password = "password", SharedKey = "TestKey" };

        await sender.Call(HttpMethod.Post, "", new Dictionary<string, string> // the handshake
        {
            ["Mex-ClientVersion"] = "example==1.0",
            ["Mex-OSName"] = Environment.OSVersion.Platform.ToString(),
            ["Mex-OSVersion"] = Environment.OSVersion.Version.ToString(),
        });
        await sender.Call(HttpMethod.Post, "/outbox", new Dictionary<string, string>
        {
            ["Mex-To"] = recipient.Id,
            ["Mex-WorkflowID"] = "TEST_WORKFLOW",
            ["Mex-LocalID"] = "hello-1",
        }, Encoding.UTF8.GetBytes("hello"));

        var inbox = await (await recipient.Call(HttpMethod.Get, "/inbox")).Content.ReadAsStringAsync();
        foreach (Match found in Regex.Matches(inbox, "[0-9]{20}_[0-9A-F]{6}")) // System.Text.Json in .NET
        {
            var message = await recipient.Call(HttpMethod.Get, $"/inbox/{found.Value}");
            var from = message.Headers.GetValues("Mex-From").Single();
            Console.WriteLine($"{from} {await message.Content.ReadAsStringAsync()}");
            await recipient.Call(HttpMethod.Put, $"/inbox/{found.Value}/status/acknowledged");
        }
    }
}
